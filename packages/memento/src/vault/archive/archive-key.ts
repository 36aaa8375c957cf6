import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Random } from "../../core/ports.ts";
import { KEY_BYTES, wrapChecked, type KeyRing, type WrappedKey } from "../keys/key-ring.ts";
import { boundText, damaged, type ArchiveHeader } from "./layout.ts";

/** The key that seals one file, and how its header keeps it. */
export interface ContentKey {
  readonly key: Uint8Array;
  readonly wrapped: WrappedKey;
}

/** Makes the key of a new file; null where it is not to be sealed. KEY_SERVICE_FAILED. */
export async function newContentKey(ring: KeyRing | null, id: string, random: Random): Promise<ContentKey | null> {
  if (ring === null) return null;
  const key = random.bytes(KEY_BYTES);
  return { key, wrapped: await wrapChecked(ring, key, boundText(id)) };
}

/** Opens the key of a file; null for one that is not sealed. KEY_MISSING, KEY_WRONG, DAMAGED; each names `where`. */
export async function openContentKey(
  { key, id }: ArchiveHeader,
  ring: KeyRing | null,
  where: string,
): Promise<Uint8Array | null> {
  if (key === null) return null;
  if (ring === null) {
    throw new MementoError("KEY_MISSING", `${where} is sealed by the key ${key.ring} and no key was given`, {
      hint: "Give the key that it was exported with (`--key-file`, `--passphrase-env`).",
    });
  }
  try {
    return await ring.unwrap(key, boundText(id));
  } catch (cause) {
    if (isMementoError(cause, "DAMAGED")) throw damaged(where, "its key does not open", cause);
    if (!isMementoError(cause, "KEY_WRONG")) throw cause;
    throw new MementoError("KEY_WRONG", `${where} is sealed by another key: ${cause.message}`, {
      cause,
      hint: "Give the key that the file was exported with.",
    });
  }
}
