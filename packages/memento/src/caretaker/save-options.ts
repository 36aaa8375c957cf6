import type { OriginatorKind } from "../core/memento.ts";

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
