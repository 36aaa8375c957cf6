import { MementoError } from "../core/errors.ts";
import type { OriginatorKind } from "../core/memento.ts";
import { copyValue } from "../vault/copy-value.ts";
import { checkSaved } from "./saved-name.ts";

/** How to save a state. */
export interface SaveOptions {
  /** A name of your own, by which it can be loaded. Same name and same content is the same memento; other content is refused with EXISTS. */
  readonly id?: string;
  /** True: the name moves here; the memento that had it stays. Default false. */
  readonly replace?: boolean;
  /** Clear text, for finding it again. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Sealed, except for the paths that the caretaker's policy declares as queryable: those are kept in the clear as well. */
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Sealed. */
  readonly description?: string;
  /** True: everything is written, nothing is shared with earlier mementos. Default false. */
  readonly full?: boolean;
  /** What the state is of; each originator has a timeline of its own. Default `default`. */
  readonly originator?: string;
  /** What kind of thing that is. Default `value`. */
  readonly kind?: Exclude<OriginatorKind, "pipeline">;
}

const KINDS: ReadonlySet<unknown> = new Set<SaveOptions["kind"]>([
  "document",
  "table",
  "file",
  "configuration",
  "value",
]);

/**
 * The options as they are now: whoever changes labels or metadata after the call does not change what is saved. NAME_INVALID, or
 * INVALID_ARGUMENT naming the option, for what would not come back as it was given, whatever types the caller knows of.
 */
export function ownSaveOptions<Options extends SaveOptions>(options: Options): Options {
  checkSaveOptions(options);
  const { labels, metadata } = options;
  return {
    ...options,
    ...(labels === undefined ? {} : { labels: { ...labels } }),
    ...(metadata === undefined ? {} : { metadata: copyValue(metadata) as typeof metadata }),
  };
}

function checkSaveOptions({ id, labels = {}, metadata = {}, description = "", kind = "value" }: SaveOptions): void {
  checkSaved(id, labels);
  const given: unknown = metadata;
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new MementoError("INVALID_ARGUMENT", "The metadata of a memento are an object");
  if (typeof description !== "string")
    throw new MementoError("INVALID_ARGUMENT", `The description of a memento is a text, not a ${typeof description}`);
  if (!KINDS.has(kind))
    throw new MementoError("INVALID_ARGUMENT", `A memento's kind is one of ${[...KINDS].join(", ")}, not ${kind}`);
}
