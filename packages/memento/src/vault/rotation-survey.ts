import { isMementoError } from "../core/errors.ts";
import type { KeyRecord, MementoStore } from "../store/store.ts";
import { unwrapKey } from "./data-keys.ts";
import type { KeyRing } from "./keys/key-ring.ts";

/** A data key that no key of the ring opens. */
export interface UnopenedKey {
  readonly id: string;
  readonly group: string;
  /** The id of the ring key that it says it is wrapped by. */
  readonly ring: string;
  /** KEY_WRONG: that key is not held. DAMAGED: it is, and the record was changed. */
  readonly code: "KEY_WRONG" | "DAMAGED";
  readonly problem: string;
}

/** One key of the ring, or one that the store still needs. */
export interface SurveyedKey {
  readonly id: string;
  /** Where it comes from; null for one that is not held. */
  readonly origin: string | null;
  /** True: what is wrapped next is wrapped by it. */
  readonly current: boolean;
  /** How many of the store's keys it wraps. */
  readonly wraps: number;
}

/** Which keys a ring holds, which the store needs, and what nobody here can open. */
export interface KeySurvey {
  /** The current one first, those that are not held last. */
  readonly keys: readonly SurveyedKey[];
  readonly unopened: readonly UnopenedKey[];
}

/** Looks at every wrapped key of a store; each is opened to see whether it opens. KEY_SERVICE_FAILED. */
export async function surveyKeys(store: MementoStore, ring: KeyRing): Promise<KeySurvey> {
  const records = await store.keys();
  const unopened: UnopenedKey[] = [];
  for (const record of records) {
    const opened = await tryUnwrap(ring, record);
    if ("problem" in opened) unopened.push(opened);
  }
  const wraps = Map.groupBy(records, (record) => record.ring);
  const held = ring.keys?.() ?? [];
  // A passphrase makes a key for each salt, and knows them only once it has met them.
  const known = new Set(held.map(({ id }) => id));
  const lost = new Set(unopened.filter(({ code }) => code === "KEY_WRONG").map((key) => key.ring));
  const others = [...wraps.keys()].filter((id) => !known.has(id)).toSorted();
  return {
    keys: [
      ...held.map(({ id, origin }, index) => ({ id, origin, current: index === 0, wraps: wraps.get(id)?.length ?? 0 })),
      ...others.map((id) => ({
        id,
        origin: lost.has(id) ? null : id.startsWith("scrypt.") ? "passphrase" : "ring",
        current: false,
        wraps: wraps.get(id)?.length ?? 0,
      })),
    ],
    unopened,
  };
}

/** The key, or why it does not open. Throws what says nothing about the record. */
export async function tryUnwrap(ring: KeyRing, record: KeyRecord): Promise<{ readonly key: Uint8Array } | UnopenedKey> {
  try {
    return { key: await unwrapKey(ring, record) };
  } catch (error) {
    if (!isMementoError(error) || (error.code !== "KEY_WRONG" && error.code !== "DAMAGED")) throw error;
    return { id: record.id, group: record.group, ring: record.ring, code: error.code, problem: error.message };
  }
}
