import { isMementoError, MementoError } from "../core/errors.ts";
import { randomText } from "../core/ids.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { KeyRecord, MementoStore } from "../store/store.ts";
import { KEY_BYTES, wrapChecked, type KeyRing, type WrappedKey } from "./keys/key-ring.ts";
import type { DataKey } from "./seal.ts";

/** What a wrapping authenticates besides the key. */
function boundText({ id, purpose, group }: Pick<KeyRecord, "id" | "purpose" | "group">): string {
  return JSON.stringify(["memento key 1", id, purpose, group]);
}

/** Makes a fresh key and its wrapped record, which was opened again. KEY_SERVICE_FAILED. */
export async function newKeyRecord(
  ring: KeyRing,
  purpose: KeyRecord["purpose"],
  group: string,
  clock: Clock,
  random: Random,
): Promise<{ readonly record: KeyRecord; readonly key: Uint8Array }> {
  const key = random.bytes(KEY_BYTES);
  const id = `d${randomText(random, 15)}`;
  const wrapped = await wrapChecked(ring, key, boundText({ id, purpose, group }));
  return { key, record: { id, purpose, group, ...wrapped, created: new Date(clock.now()).toISOString() } };
}

/** Opens a wrapped key. KEY_WRONG and DAMAGED name it. */
export async function unwrapKey(ring: KeyRing, record: KeyRecord): Promise<Uint8Array> {
  try {
    return await ring.unwrap({ ring: record.ring, wrapped: record.wrapped }, boundText(record));
  } catch (error) {
    if (!isMementoError(error) || (error.code !== "KEY_WRONG" && error.code !== "DAMAGED")) throw error;
    const { code, message, hint } = error;
    const details = { key: record.id, ring: record.ring };
    throw new MementoError(code, `The store's key ${record.id} cannot be opened: ${message}`, {
      cause: error,
      hint,
      details,
    });
  }
}

/** Wraps the key of a record by the ring's current key, and opens the wrapping again. KEY_SERVICE_FAILED. */
export async function wrapKey(ring: KeyRing, record: KeyRecord, key: Uint8Array): Promise<WrappedKey> {
  return await wrapChecked(ring, key, boundText(record));
}

/** The data key that seals for a group now, and its record as long as the store may not have it. */
export interface SealingKey {
  readonly key: DataKey;
  readonly record: KeyRecord | null;
}

/** Seals by random 96-bit nonces stay far from a collision up to here; then the group gets a new data key. */
const SEALS_PER_KEY_MAX = 2 ** 28;

/**
 * The data keys of one open vault: one fresh key for each group and session, so that few wrapped keys stand for many
 * mementos and rotation touches only them.
 */
export class DataKeys {
  readonly #store: MementoStore;
  readonly #ring: KeyRing;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #opened = new Map<string, DataKey>();
  readonly #sealing = new Map<string, { key: DataKey; record: KeyRecord; stored: boolean; seals: number }>();
  /** The keys that are being made, by group. */
  readonly #making = new Map<string, Promise<void>>();

  constructor(store: MementoStore, ring: KeyRing, clock: Clock, random: Random) {
    this.#store = store;
    this.#ring = ring;
    this.#clock = clock;
    this.#random = random;
  }

  /** The key to seal a group's next pack with. Who asks while it is being made gets the same one. */
  async forSealing(group: string): Promise<SealingKey> {
    let current = this.#sealing.get(group);
    while (current === undefined || current.seals >= SEALS_PER_KEY_MAX) {
      const making = this.#making.get(group) ?? this.#make(group).finally(() => this.#making.delete(group));
      this.#making.set(group, making);
      await making;
      current = this.#sealing.get(group);
    }
    current.seals += 1;
    return { key: current.key, record: current.stored ? null : current.record };
  }

  async #make(group: string): Promise<void> {
    const { record, key } = await newKeyRecord(this.#ring, "data", group, this.#clock, this.#random);
    const made = { key: { id: record.id, key }, record, stored: false, seals: 0 };
    this.#sealing.set(group, made);
    this.#opened.set(record.id, made.key);
  }

  /**
   * Says that the store has a data key now; called once for each, before its first save is acknowledged. When another
   * ring key has become the current one in between, it is wrapped anew: a revocation may have looked just before it was there,
   * and then nobody could ever open it again.
   */
  async stored(id: string): Promise<void> {
    for (const current of this.#sealing.values()) {
      if (current.key.id !== id || current.stored) continue;
      const { record, key } = current;
      if ((await this.#ring.isCurrent?.(record.ring)) === false) {
        const wrapped = await wrapKey(this.#ring, record, key.key);
        await this.#store.rewrapKey({ ...record, ...wrapped }, record.ring);
      }
      current.stored = true;
    }
  }

  /** Seals nothing more with this key; the next pack of its group gets a fresh one. */
  retire(id: string): void {
    for (const [group, current] of this.#sealing) if (current.key.id === id) this.#sealing.delete(group);
  }

  /** The key with this id. DAMAGED when the store has lost it, KEY_WRONG when the ring cannot open it. */
  async forOpening(id: string): Promise<DataKey> {
    const known = this.#opened.get(id);
    if (known !== undefined) return known;
    const record = (await this.#store.keys()).find((candidate) => candidate.id === id);
    if (record === undefined)
      throw new MementoError("DAMAGED", `The store has lost the data key ${id}`, { details: { dataKey: id } });
    const key = { id, key: await unwrapKey(this.#ring, record) };
    this.#opened.set(id, key);
    return key;
  }
}
