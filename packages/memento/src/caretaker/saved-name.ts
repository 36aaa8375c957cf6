import { MementoError } from "../core/errors.ts";
import { checkName, parseMementoId } from "../core/ids.ts";
import { PART_LABEL, STREAM_LABEL } from "../store/query.ts";

/**
 * NAME_INVALID for what a memento cannot be called or labelled: a name that looks like one of our ids could never be loaded again, our
 * own labels would hide the memento, and a lone surrogate would be read from a store as another text than was sealed.
 * INVALID_ARGUMENT for labels that are no texts by their names: a store with a list in their place could not be read again.
 */
export function checkSaved(name: string | undefined, labels: Readonly<Record<string, string>>): void {
  for (const [label, value] of labelsOf(labels)) {
    if (label === PART_LABEL || label === STREAM_LABEL)
      throw new MementoError("NAME_INVALID", `The label ${label} is Memento's own`);
    if (typeof value !== "string")
      throw new MementoError(
        "INVALID_ARGUMENT",
        `The label ${JSON.stringify(label)} takes a text, not ${value === null ? "null" : `a ${typeof value}`}`,
      );
    if (!label.isWellFormed() || !value.isWellFormed())
      throw new MementoError("NAME_INVALID", `The label ${JSON.stringify(label)} holds a lone surrogate`);
  }
  if (name === undefined) return;
  checkName("The id", name);
  if (parseMementoId(name) !== undefined)
    throw new MementoError("NAME_INVALID", `The id ${name} has the form of Memento's own ids`);
}

function labelsOf(labels: unknown): [string, unknown][] {
  if (typeof labels === "object" && labels !== null && !Array.isArray(labels)) return Object.entries(labels);
  throw new MementoError("INVALID_ARGUMENT", "The labels of a memento are an object of texts by their names", {
    hint: 'Write them as in { env: "test" }.',
  });
}
