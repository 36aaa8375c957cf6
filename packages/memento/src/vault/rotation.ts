import { MementoError } from "../core/errors.ts";
import type { KeyRecord, MementoStore } from "../store/store.ts";
import { wrapKey } from "./data-keys.ts";
import { keyNotHeld, type KeyRing } from "./keys/key-ring.ts";
import { tryUnwrap, type UnopenedKey } from "./rotation-survey.ts";

/** How to rotate. */
export interface RotateOptions {
  /** The ring key to wrap by; by default the ring's current one. NOT_FOUND when the ring does not hold it. */
  readonly to?: string;
  /** True: what is wrapped by that key already is wrapped anew too (a service may have a new version of it). Default false. */
  readonly again?: boolean;
  readonly onProgress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** What a rotation did. */
export interface RotateReport {
  /** The ring key that wraps all that could be opened; null when nothing was there to say so. */
  readonly current: string | null;
  readonly rewrapped: number;
  /** Keys that were wrapped by it before. */
  readonly unchanged: number;
  /** Keys that stay as they were, because nothing here opens them. */
  readonly unopened: readonly UnopenedKey[];
}

/** Other processes may add keys under an old one while this goes on; after so many rounds they are left to the next rotation. */
const ROUNDS_MAX = 5;

/**
 * Wraps every key of a store, the data keys and the integrity key, by the ring's current key. No body is read or written.
 * Each record is replaced by itself, and only while it still is what was read: runs may go on, rotations may race, and one that
 * was killed is finished by the next. A new wrapping is opened before it replaces the old one.
 * INVALID_ARGUMENT for a store that is not sealed, NOT_FOUND, KEY_SERVICE_FAILED, CANCELLED.
 */
export async function rotateKeys(
  store: MementoStore,
  ring: KeyRing,
  options: RotateOptions = {},
): Promise<RotateReport> {
  const { again = false, onProgress, signal } = options;
  if ((await store.meta())?.sealed !== true)
    throw new MementoError("INVALID_ARGUMENT", `The store at ${store.url} is not sealed: it has no keys to rotate`);
  const chosen = await chosenRing(ring, options.to);
  const settled = new Set<string>();
  const rewrapped = new Set<string>();
  const unopened = new Map<string, UnopenedKey>();
  // Told by what the ring wraps: a passphrase's key has no id before.
  let current: string | null = null;
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const records = await store.keys();
    const open = records.filter(({ id, ring: by }) => !settled.has(id) || (current !== null && by !== current));
    if (open.length === 0) break;
    for (const record of open) {
      if (signal?.aborted === true)
        throw new MementoError("CANCELLED", "The rotation was stopped", { cause: signal.reason });
      const answer = await rotateOne(store, chosen, record, { current, again: again && !settled.has(record.id) });
      settled.add(record.id);
      if ("problem" in answer) unopened.set(record.id, answer);
      else {
        unopened.delete(record.id);
        ({ current } = answer);
        if (answer.rewrapped) rewrapped.add(record.id);
      }
      onProgress?.({ done: settled.size, total: Math.max(settled.size, records.length) });
    }
    if (open.every(({ id }) => unopened.has(id))) break;
  }
  const unchanged = settled.size - rewrapped.size - unopened.size;
  return { current, rewrapped: rewrapped.size, unchanged, unopened: [...unopened.values()] };
}

async function chosenRing(ring: KeyRing, to: string | undefined): Promise<KeyRing> {
  if (to === undefined) return ring;
  // A key file is looked at again: the key may have been added since.
  await ring.holds?.(to);
  const chosen = ring.withCurrent?.(to) ?? null;
  if (chosen !== null) return chosen;
  throw keyNotHeld("The ring", to);
}

async function rotateOne(
  store: MementoStore,
  ring: KeyRing,
  record: KeyRecord,
  { current, again }: { readonly current: string | null; readonly again: boolean },
): Promise<UnopenedKey | { readonly current: string; readonly rewrapped: boolean }> {
  const opened = await tryUnwrap(ring, record);
  if ("problem" in opened) return opened;
  if (current === record.ring && !again) return { current, rewrapped: false };
  const wrapped = await wrapKey(ring, record, opened.key);
  if (wrapped.ring === record.ring && !again) return { current: wrapped.ring, rewrapped: false };
  // False: another rotation was faster, or the key was destroyed. Either way it is looked at again.
  return { current: wrapped.ring, rewrapped: await store.rewrapKey({ ...record, ...wrapped }, record.ring) };
}
