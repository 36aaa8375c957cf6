import type { StoreSupports } from "../store.ts";

/**
 * Where blobs lie: the whole of what the engine (`BlobStore`) asks of a file system or an object store. A key is a text of
 * segments with `/` between them, of `[0-9a-z.-]` beneath the root that the place was opened with; it is the object's key
 * as it stands. No key is ever made beside `key/child`, and no segment is longer than 100 characters.
 *
 * What the engine rests on, and `proveConditions` proves before the first write:
 * - `createIfAbsent` has one winner, whoever else tries at once, and whoever is told `true` has written what lies there;
 * - what a call has reported as done is seen by every `read`, `list` and `createIfAbsent` that begins afterwards;
 * - a blob is there whole or not at all.
 *
 * Errors are MementoErrors: STORE_UNREACHABLE for an answer that may have been lost, ACCESS_DENIED, PLACE_MISSING (no such
 * bucket), DISK_FULL, IO_FAILED; never a secret in one. An adapter bounds each request's time, and repeats what is safe to
 * repeat: all but `createIfAbsent` as they are; that one by asking. Calls come side by side, up to `tuning.requestsAtOnce`
 * for each piece of work.
 *
 * An adapter is tested by `testBlobPort` of `test/harness/blob-ports.ts`, by the faults beside it, and by the conformance kit.
 */
export interface BlobPort {
  /** A blob's bytes; null when there is none. */
  read(key: string): Promise<Uint8Array | null>;
  /**
   * Writes a blob under a key that nobody has. False, and no change, when somebody has it. A refusal (412, 409) of a request
   * that was repeated, or whose first answer may have been lost, can be of one's own success: then the blob is read, and
   * `true` answered when it has exactly these bytes. Bytes of two different writers are never the same where it matters.
   */
  createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean>;
  /** Writes a blob under a key, whatever had it before. For blobs that have one writer, or whose loss is harmless. */
  replace(key: string, parts: readonly Uint8Array[]): Promise<void>;
  /** Like `replace`; and leaves nothing of the old bytes where the place lets them be reached: a file's are written over. */
  replaceAndWipe(key: string, parts: readonly Uint8Array[]): Promise<void>;
  /** True when a crash in `replaceAndWipe` has left old bytes of this key that are still to be wiped; false where none can be left. */
  hasLeftovers(key: string): Promise<boolean>;
  /** Takes a blob away; nothing happens when there is none. On files durable only after a `settle` of its folder. */
  remove(key: string): Promise<void>;
  /**
   * The names right under a folder, of blobs and of folders (without `/`), each once, in no certain order, page by page with
   * flat memory; none when there is no such folder. `after`: names that are not behind this one in the order of their bytes
   * may be left out, and are where the place can begin there.
   */
  list(folder: string, after?: string): AsyncIterable<string>;
  /** Makes a folder, and its name durable; its parent must be there. Nothing to do where keys need no folders. */
  ensureFolder(folder: string): Promise<void>;
  /** Makes a folder and all that are missing above it. Nothing to do where keys need no folders. */
  ensureFolders(folder: string): Promise<void>;
  /** Makes every name in a folder durable, those that other processes gave included. Nothing to do where what is seen is durable. */
  settle(folder: string): Promise<void>;
}

/** What requests cost at a place, as numbers for the engine. */
export interface BlobTuning {
  /** Requests that one piece of work has under way at once. 8 to 16 where each takes milliseconds. */
  readonly requestsAtOnce: number;
  /** Fewest entries of a log between two writes of its state: one more request each time, and the most that a cold open reads. */
  readonly stateEveryMin: number;
  /**
   * The largest pack, in bytes, that lies in the log entry that speaks of it, so that a save is one request and not two. 0:
   * every pack is a blob of its own.
   */
  readonly inlineBytesMax: number;
  /** True: `proveConditions` is run when a store is made, and once after each opening before the first write. */
  readonly proveConditions: boolean;
}

/** A place for one store: what an adapter hands to `BlobStore`. */
export interface BlobPlace {
  readonly blobs: BlobPort;
  /** What stands before every key, without `/` at its end; empty for the whole of a bucket. */
  readonly root: string;
  /** The store's URL for people: no secret in it. */
  readonly url: string;
  readonly supports: StoreSupports;
  readonly tuning: BlobTuning;
  /** What `createIfAbsent` rests on, in the place's own words, for whoever has to choose another server: "If-None-Match: *". */
  readonly createCondition: string;
  /** Gives back what the adapter holds; nothing where the client was handed in. Called once. */
  readonly close: () => Promise<void>;
}

/** How object stores on a network are best used; an adapter may say otherwise. */
export const OBJECT_TUNING: BlobTuning = {
  requestsAtOnce: 12,
  stateEveryMin: 64,
  inlineBytesMax: 32_768,
  proveConditions: true,
};
