import { isMementoError, type MementoError } from "../../core/errors.ts";

/** How to create a blob and to look at it. */
export interface Creation {
  readonly parts: readonly Uint8Array[];
  /** A conditional write, repeated where its answer was lost. False: refused, because the key is taken. */
  readonly create: () => Promise<boolean>;
  /** What lies under the key; null for nothing. */
  readonly read: () => Promise<Uint8Array | null>;
}

/**
 * Creates a blob if absent, and knows its own: a refusal of a request that was repeated can be of one's own success, and
 * so can an answer that was lost for good. Then what lies there decides: these very bytes are ours. STORE_UNREACHABLE when
 * the answer was lost and nothing is there (yet).
 */
export async function createSettled({ parts, create, read }: Creation): Promise<boolean> {
  let lost: MementoError | null = null;
  try {
    if (await create()) return true;
  } catch (error) {
    if (!isMementoError(error, "STORE_UNREACHABLE")) throw error;
    lost = error;
  }
  const there = await read();
  if (there === null && lost !== null) throw lost;
  return there !== null && hasBytes(there, parts);
}

/** True when the bytes are these parts, one behind the other. */
export function hasBytes(bytes: Uint8Array, parts: readonly Uint8Array[]): boolean {
  let at = 0;
  for (const part of parts) {
    if (Buffer.compare(bytes.subarray(at, at + part.byteLength), part) !== 0) return false;
    at += part.byteLength;
  }
  return at === bytes.byteLength;
}
