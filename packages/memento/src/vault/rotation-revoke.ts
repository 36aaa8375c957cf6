import { MementoError } from "../core/errors.ts";
import type { MementoStore } from "../store/store.ts";
import { addKeyToFile, makeKeyCurrent, removeKeyFromFile } from "./keys/key-file.ts";
import { keyNotHeld, type KeyRing, type RingKey } from "./keys/key-ring.ts";
import { rotateKeys, type RotateOptions, type RotateReport } from "./rotation.ts";

/** How to revoke a ring key. */
export type RevokeOptions = Pick<RotateOptions, "to" | "onProgress" | "signal">;

/** What a revocation did. */
export interface RevokeReport extends RotateReport {
  /** The id of the key that was made to take over; null when one that was there does. */
  readonly made: string | null;
  /** The key files that it was taken out of. */
  readonly files: readonly string[];
  /** Where else it is held, and has to be taken away: a variable, a service. */
  readonly elsewhere: readonly string[];
}

/**
 * Wraps by another key all that a ring key wraps, and takes it out of its key file once it wraps nothing any more (a key
 * that is kept elsewhere has to be taken away there). The other key is `to`, else the current one, or a fresh one where the
 * current one of a file is revoked: its others were given up for it. It becomes the file's current one first, so that
 * processes that go on wrap by that. KEY_IN_USE, and the key stays, when something is still wrapped by it; NOT_FOUND;
 * INVALID_ARGUMENT for the only key. Whoever has copied both the key and the wrapped records before can still open what
 * they open: see docs/keys.md.
 */
export async function revokeKey(
  store: MementoStore,
  ring: KeyRing,
  id: string,
  options: RevokeOptions = {},
): Promise<RevokeReport> {
  // A key file is looked at again: it may have been changed since.
  await ring.holds?.(id);
  const held = ring.keys?.() ?? [];
  const revoked = held.find((key) => key.id === id);
  if (revoked === undefined) throw keyNotHeld("The ring", id);
  const others = held.filter((key) => key.id !== id);
  if ((others.length === 0 && options.to === undefined) || options.to === id)
    throw new MementoError("INVALID_ARGUMENT", `There is no other key than ${id} to wrap by`, {
      hint: "Make one first: `memento keys new`.",
    });
  const isCurrentOfFile = held[0] === revoked && revoked.file !== undefined;
  const made = options.to === undefined && isCurrentOfFile ? await addKeyToFile(revoked.file) : null;
  const heir = made ?? (await madeCurrent(others, options.to));
  const report = await rotateKeys(store, ring, { ...options, to: heir });
  const left = (await store.keys()).filter((record) => record.ring === id);
  if (left.length > 0)
    throw new MementoError(
      "KEY_IN_USE",
      `${left.length} of the store's keys are still wrapped by ${id}; it was not taken away`,
      { details: { keys: left.map((record) => record.id) } },
    );
  const places = held.filter((key) => key.id === id);
  const files = [...new Set(places.flatMap(({ file }) => (file === undefined ? [] : [file])))];
  for (const file of files) await removeKeyFromFile(file, id);
  const elsewhere = places.filter(({ file }) => file === undefined).map(({ origin }) => origin);
  return { ...report, made, files, elsewhere };
}

/** The one that is asked for, else the first; the current one of its file from now on. NOT_FOUND. */
async function madeCurrent(keys: readonly RingKey[], wanted: string | undefined): Promise<string> {
  const heir = keys.find(({ id }) => wanted === undefined || id === wanted);
  if (heir === undefined) throw keyNotHeld("The ring", wanted ?? "");
  if (heir.file !== undefined) await makeKeyCurrent(heir.file, heir.id);
  return heir.id;
}
