import { MementoError } from "../core/errors.ts";
import { checkName, parseMementoId } from "../core/ids.ts";
import { PART_LABEL, STREAM_LABEL } from "../store/query.ts";

/**
 * NAME_INVALID for what a memento cannot be called or labelled: a name that looks like one of our ids could never be loaded again, our
 * own labels would hide the memento, and a lone surrogate would be read from a store as another text than was sealed.
 */
export function checkSaved(name: string | undefined, labels: Readonly<Record<string, string>>): void {
  for (const [label, value] of Object.entries(labels)) {
    if (label === PART_LABEL || label === STREAM_LABEL)
      throw new MementoError("NAME_INVALID", `The label ${label} is Memento's own`);
    if (!label.isWellFormed() || !value.isWellFormed())
      throw new MementoError("NAME_INVALID", `The label ${JSON.stringify(label)} holds a lone surrogate`);
  }
  if (name === undefined) return;
  checkName("The id", name);
  if (parseMementoId(name) !== undefined)
    throw new MementoError("NAME_INVALID", `The id ${name} has the form of Memento's own ids`);
}
