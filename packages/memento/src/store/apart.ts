import type { MementoEntry } from "../core/memento.ts";
import type { AppendBatch, AppendRecord, AppendResult, EntryPlace } from "./store.ts";

/** A record without the check of the head that it becomes: that is made with its pack. */
export type UncheckedRecord<Entry extends EntryPlace = MementoEntry> = Omit<AppendRecord<Entry>, "headCheck">;

/** A batch whose pack is not made yet: whoever appends it makes it, in a thread of its own, and the checks of its heads too. */
export interface UnmadeBatch extends Pick<AppendBatch, "dataKey"> {
  readonly records: readonly UncheckedRecord[];
  /** The module that makes the pack, by its place below `src` and without its extension. It exports a `PackMaker` as `makePack`. */
  readonly maker: string;
  /** What it makes the pack of; it can be cloned into another thread. */
  readonly parts: unknown;
}

/** Makes a pack of the parts that came to another thread, and of the places of its mementos, slot by slot. */
export type PackMaker = (parts: unknown, places: readonly EntryPlace[]) => MadePack | Promise<MadePack>;

/** A pack that was made where it is appended. */
export interface MadePack extends Pick<AppendBatch, "header" | "body"> {
  /** The data key that the header names; null for a pack that is not sealed. */
  readonly sealedBy: string | null;
  /** Slot by slot, the check of the head that it becomes. */
  readonly headChecks: readonly string[];
  /** What goes back to the one who asked, beside the results; it can be cloned. */
  readonly answer: unknown;
}

/** Appends in another thread, so that this one has neither the making of a pack nor the waiting for the disk. */
export interface ApartAppender {
  /** True while that thread takes batches. */
  readonly isOpen: boolean;
  /**
   * Like `MementoStore.append` of the pack that the parts make; null, and nothing done, where the thread
   * has ended meanwhile.
   */
  append(batch: UnmadeBatch): Promise<ApartAppended | null>;
}

/** What came of a batch that was appended apart. */
export interface ApartAppended {
  /** One per record, in the same order. */
  readonly results: readonly AppendResult[];
  /** The maker's. */
  readonly answer: unknown;
}
