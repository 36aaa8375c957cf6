import { MementoError } from "../core/errors.ts";
import type { MementoStore } from "../store/store.ts";
import { makeKeyCurrent, removeKeyFromFile } from "./keys/key-file.ts";
import { keyNotHeld, type KeyRing } from "./keys/key-ring.ts";
import { rotateKeys, type RotateOptions, type RotateReport } from "./rotation.ts";

/** How to revoke a ring key. */
export type RevokeOptions = Pick<RotateOptions, "to" | "onProgress" | "signal">;

/**
 * Wraps by another key all that a ring key wraps, and takes it out of its key file once it wraps nothing any more (a key
 * that is kept elsewhere has to be taken away there). The other key becomes the file's current one first, so that
 * processes that go on wrap by that. KEY_IN_USE, and the key stays, when something is still wrapped by it; NOT_FOUND;
 * INVALID_ARGUMENT for the only key. Whoever has copied both the key and the wrapped records before can still open what
 * they open: see docs/keys.md.
 */
export async function revokeKey(
  store: MementoStore,
  ring: KeyRing,
  id: string,
  options: RevokeOptions = {},
): Promise<RotateReport> {
  // A key file is looked at again: it may have been changed since.
  await ring.holds?.(id);
  const held = ring.keys?.() ?? [];
  const revoked = held.find((key) => key.id === id);
  if (revoked === undefined) throw keyNotHeld("The ring", id);
  const heir = held.find((key) => (options.to === undefined ? key.id !== id : key.id === options.to));
  if (heir === undefined && options.to !== undefined) throw keyNotHeld("The ring", options.to);
  if (heir === undefined || heir === revoked)
    throw new MementoError("INVALID_ARGUMENT", `There is no other key than ${id} to wrap by`, {
      hint: "Make one first: `memento keys new`.",
    });
  if (heir.file !== undefined) await makeKeyCurrent(heir.file, heir.id);
  const report = await rotateKeys(store, ring, { ...options, to: heir.id });
  const left = (await store.keys()).filter((record) => record.ring === id);
  if (left.length > 0)
    throw new MementoError(
      "KEY_IN_USE",
      `${left.length} of the store's keys are still wrapped by ${id}; it was not taken away`,
      { details: { keys: left.map((record) => record.id) } },
    );
  if (revoked.file !== undefined) await removeKeyFromFile(revoked.file, id);
  return report;
}
