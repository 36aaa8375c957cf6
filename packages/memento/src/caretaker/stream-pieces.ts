import { MementoError } from "../core/errors.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";

/** What is known of a saved stream as a whole; the piece `stream`. */
export interface StreamFacts {
  readonly bytes: number;
  /** SHA-256 of all bytes, as 43 characters of base64url. */
  readonly sha256: string;
  readonly chunks: number;
}

/** The key of the facts. */
export const STREAM = "stream";
/** What the keys of lists begin with. */
const LIST = "stream/list/";
/** What the keys of chunks begin with; the digest of their bytes follows. */
export const CHUNK = "chunk/";

/** A list is the SHA-256 digests of chunks, one after the other, in the order of the stream. */
export const DIGEST_BYTES = 32;
/** Chunks on one list; the next goes on in another. */
export const LISTED_CHUNKS_MAX = 10_000;

/** The key of a list, counted from 0. */
export const listKey = (index: number): string => LIST + String(index);

/** True for a memento that was saved as a stream. */
export const holdsStream = (memento: OpenedMemento): boolean => memento.has(STREAM);

/** Returns a memento that holds a state, or throws INVALID_ARGUMENT for one that holds a stream, or that a pipeline took. */
export function demandState(memento: OpenedMemento): OpenedMemento {
  const { id, kind, originator } = memento.entry;
  if (kind === "pipeline")
    throw new MementoError("INVALID_ARGUMENT", `Memento ${id} is of pipeline ${originator}, and holds no saved state`, {
      hint: "See what it keeps with `memento show`.",
      details: { id },
    });
  if (!holdsStream(memento)) return memento;
  throw new MementoError("INVALID_ARGUMENT", `Memento ${id} holds a stream of bytes, not a state`, {
    hint: "Read it with openStream, or `memento get`.",
    details: { id },
  });
}
