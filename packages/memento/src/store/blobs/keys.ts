import { posix as nodePath } from "node:path";

import { MementoError } from "../../core/errors.ts";
import { keyRetired } from "../admit.ts";
import type { KeyRecord } from "../store.ts";
import type { StoreParts } from "./catalogue.ts";
import { damagedFile, frameJson, missingFile, openJson } from "./frame.ts";
import { hashed } from "./paths.ts";
import { concurrently } from "./turns.ts";

/** A generation's file: the key as it was wrapped then, or only its id once a later generation has taken its place. */
interface WrittenKey {
  readonly id: string;
  readonly generation: number;
  readonly key: KeyRecord | null;
  /** The key was destroyed: this is its last generation. */
  readonly dropped?: true;
}

/** Where something is to be sealed. */
export interface SealedPlace {
  readonly timeline: string;
  /** The timeline's own group: its caretaker. */
  readonly group: string;
  readonly voids: number;
}

const SEEN_FIT_MAX = 16_384;
const KEY_FILE = /^([0-9a-f]{40})\.([1-9][0-9]{0,8})\.json$/;

/**
 * Wrapped keys. A new wrapping is a new generation, created if absent: of two that replace the same one, one gets the
 * number. What it replaced is then blanked, never removed: a free number could be taken by somebody late. A key that is
 * destroyed gets a last generation that says so, and all before it are written over where they lie.
 */
export class Keys {
  readonly #parts: StoreParts;
  /** The last known generation of keys that were asked for. */
  readonly #generations = new Map<string, number>();
  /** By key and timeline: how often everything had been voided there when the key was last seen to be fit. */
  readonly #seenFit = new Map<string, number>();

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Stores a key unless there is one with its id; true when this call has made it. */
  async add(key: KeyRecord): Promise<boolean> {
    const { files, paths } = this.#parts;
    const written: WrittenKey = { id: key.id, generation: 1, key };
    const created = await files.createIfAbsent(paths.key(key.id, 1), await frameJson("key", written));
    // Somebody else's may not have come to its sync yet; what is sealed under it must not outlive it.
    if (!created) await files.settle(paths.keys);
    return created;
  }

  /** Every key in its present wrapping. */
  async all(): Promise<readonly KeyRecord[]> {
    const generations = new Map<string, number>();
    for await (const file of this.files()) {
      const [, hash = "", generation] = KEY_FILE.exec(nodePath.basename(file)) ?? [];
      generations.set(hash, Math.max(Number(generation), generations.get(hash) ?? 0));
    }
    const sorted = [...generations].toSorted(([a], [b]) => (a < b ? -1 : 1));
    const found = await concurrently(sorted, this.#parts.tuning.requestsAtOnce, ([hash, generation]) =>
      this.#present(hash, generation),
    );
    return found.flatMap((present) => (present === null ? [] : [present.key]));
  }

  /** True when there is a key with this id. */
  async has(id: string): Promise<boolean> {
    const file = this.#parts.paths.key(id, 1);
    if ((await this.read(file)) === null) return false;
    return (await this.#present(hashed(id), 1)) !== null;
  }

  /** Replaces a wrapping that is still by `expectedRing`; false when it is not. */
  async rewrap({ id, ring, wrapped }: KeyRecord, expectedRing: string): Promise<boolean> {
    const { files, paths } = this.#parts;
    if ((await files.read(paths.key(id, 1))) === null) return false;
    for (;;) {
      const present = await this.#present(hashed(id), 1);
      if (present === null || present.key.ring !== expectedRing) return false;
      const { key, generation } = present;
      const next: WrittenKey = { id, generation: generation + 1, key: { ...key, ring, wrapped } };
      if (!(await files.createIfAbsent(paths.key(id, generation + 1), await frameJson("key", next)))) continue;
      await this.#blank(id, generation);
      return true;
    }
  }

  /** Retires a key; false when there is none, or none any more. INVALID_ARGUMENT for the integrity key. */
  async retire(id: string): Promise<KeyRecord | null> {
    const { files, paths } = this.#parts;
    if ((await files.read(paths.key(id, 1))) === null) return null;
    for (;;) {
      const present = await this.#present(hashed(id), 1);
      if (present === null || present.key.retired === true) return present?.key ?? null;
      if (present.key.purpose === "integrity")
        throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be retired");
      const generation = present.generation + 1;
      const next: WrittenKey = { id, generation, key: { ...present.key, retired: true } };
      if (!(await files.createIfAbsent(paths.key(id, generation), await frameJson("key", next)))) continue;
      await this.#blank(id, present.generation);
      return next.key;
    }
  }

  /**
   * Throws KEY_RETIRED when nothing may be sealed with this key any more.
   *
   * `at` is the timeline that is to be written, and how often everything had been voided in its log before this call. A key
   * that was seen to be fit at this count is not read again: `retireKey` first writes that the key is retired, then voids
   * everything in all timelines of the key's group. So whoever commits an entry to this log at the same count does so before
   * the retirement is done, and whoever comes later finds another count. Of keys of other groups nothing is remembered. null:
   * the key is read, whatever is remembered.
   */
  async demandSealing(id: string, at: SealedPlace | null): Promise<void> {
    const place = JSON.stringify([id, at?.timeline]);
    if (at !== null && this.#seenFit.get(place) === at.voids) return;
    const key = await this.#sealing(id);
    if (at !== null && key?.group === at.group) this.#remember(place, at.voids);
  }

  /** Stores a key that something is about to be sealed with, unless there is one with its id; then like `demandSealing`. */
  async addSealing(key: KeyRecord, at: SealedPlace): Promise<void> {
    if (!(await this.add(key))) await this.demandSealing(key.id, at);
    else if (key.group === at.group) this.#remember(JSON.stringify([key.id, at.timeline]), at.voids);
  }

  /** Forgets which keys were fit: after logs were mended, their counts may be others. */
  forget(): void {
    this.#seenFit.clear();
  }

  #remember(place: string, voids: number): void {
    if (this.#seenFit.size >= SEEN_FIT_MAX) this.#seenFit.clear();
    this.#seenFit.set(place, voids);
  }

  /** The key, fit for sealing; null when there is none yet. */
  async #sealing(id: string): Promise<KeyRecord | null> {
    const { paths } = this.#parts;
    const from = this.#generations.get(id) ?? 1;
    const [written, next] = await Promise.all([this.read(paths.key(id, from)), this.read(paths.key(id, from + 1))]);
    if (written === null) return null;
    // What was replaced is blanked: as long as this one is not, and no other follows it, it is the present one.
    const present =
      written.key !== null && next === null
        ? { key: written.key, generation: from }
        : await this.#present(hashed(id), from);
    if (present === null || present.key.retired === true) throw keyRetired(id);
    this.#generations.set(id, present.generation);
    return present.key;
  }

  /**
   * Destroys a key; false when there is none, or none any more. INVALID_ARGUMENT for the integrity key. `voidAll` is called
   * with the key's group before the last of its bytes goes: whoever remembers the key as fit must look again.
   */
  async drop(id: string, voidAll: (group: string) => Promise<void>): Promise<boolean> {
    const { files, paths } = this.#parts;
    if ((await files.read(paths.key(id, 1))) === null) return false;
    for (;;) {
      const present = await this.#present(hashed(id), 1);
      if (present?.key.purpose === "integrity")
        throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be dropped");
      if (present !== null) {
        const generation = present.generation + 1;
        const end: WrittenKey = { id, generation, key: null, dropped: true };
        // Whoever wraps it anew at the same time and is first is seen in the next round.
        if (!(await files.createIfAbsent(paths.key(id, generation), await frameJson("key", end)))) continue;
      }
      // Also when it was dropped before: a crash may have come between the steps.
      const { last, group } = await this.#beforeDropped(id);
      if (group !== null) await voidAll(group);
      await this.#blank(id, last);
      return present !== null;
    }
  }

  /** The number of the generation before a dropped key's last, and the key's group as long as one of them still has it. */
  async #beforeDropped(id: string): Promise<{ readonly last: number; readonly group: string | null }> {
    let group: string | null = null;
    for (let generation = 1; ; generation++) {
      const written = await this.read(this.#parts.paths.key(id, generation));
      if (written === null || written.dropped === true) return { last: generation - 1, group };
      group = written.key?.group ?? group;
    }
  }

  /** Leaves nothing of the key in these generations but its id. */
  async #blank(id: string, through: number): Promise<void> {
    const { files, paths } = this.#parts;
    for (let old = 1; old <= through; old++) {
      const file = paths.key(id, old);
      const written = await this.read(file);
      if (written?.key === null && !(await files.hasLeftovers(file))) continue;
      const blank: WrittenKey = { id, generation: old, key: null };
      await files.replaceAndWipe(file, await frameJson("key", blank));
    }
  }

  /** The files of all keys, for `check`. */
  async *files(): AsyncIterable<string> {
    const { files, paths } = this.#parts;
    for await (const name of files.list(paths.keys)) if (KEY_FILE.test(name)) yield nodePath.join(paths.keys, name);
  }

  /** The contents of a key's file. DAMAGED, naming it. */
  async read(file: string): Promise<WrittenKey | null> {
    const bytes = await this.#parts.files.read(file);
    if (bytes === null) return null;
    const { value } = await openJson<WrittenKey>(bytes, "key", file);
    const place = KEY_FILE.exec(nodePath.basename(file));
    if (hashed(value.id) !== place?.[1] || String(value.generation) !== place[2]) {
      throw damagedFile(file, "it belongs to another place");
    }
    return value;
  }

  /** The wrapping that counts: the last one of the generations from a known one on. null for a destroyed key. */
  async #present(hash: string, from: number): Promise<{ readonly key: KeyRecord; readonly generation: number } | null> {
    let present: { readonly key: KeyRecord; readonly generation: number } | null = null;
    for (let generation = from; ; generation++) {
      const file = nodePath.join(this.#parts.paths.keys, `${hash}.${generation}.json`);
      const written = await this.read(file);
      if (written === null && present !== null) return present;
      if (written === null) throw missingFile(file);
      if (written.dropped === true) return null;
      if (written.key !== null) present = { key: written.key, generation };
    }
  }
}
