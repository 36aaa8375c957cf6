import { entryAt } from "../archive/append-lines.ts";
import { refill, removedOn } from "../archive/refill.ts";
import { directNeeds } from "../needs.ts";
import type { OpenedPack } from "../repack.ts";
import { manifestOf } from "../repack.ts";
import type { Vault } from "../vault.ts";
import { openStored } from "./source-packs.ts";

/**
 * Gives removed mementos back what garbage collection has taken of them in the store that is copied to, and what a memento
 * that comes now needs. Nothing is looked at where the store has removed nothing.
 */
export class TargetGaps {
  readonly #from: Vault;
  readonly #to: Vault;
  readonly #removed: ReadonlySet<string>;
  readonly #filled = new Set<string>();

  private constructor(from: Vault, to: Vault, removed: ReadonlySet<string>) {
    this.#from = from;
    this.#to = to;
    this.#removed = removed;
  }

  /** `timelines` are those that the store has had before and that may grow. */
  static async open(from: Vault, to: Vault, timelines: Iterable<string>): Promise<TargetGaps> {
    const removed = new Set<string>();
    for (const timeline of timelines) for (const id of await removedOn(to, timeline)) removed.add(id);
    return new TargetGaps(from, to, removed);
  }

  /** Fills what these slots need, all the way down. CONFLICT, DAMAGED. */
  async fillFor(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    if (this.#removed.size === 0) return;
    for (const slot of slots) await this.#fill(pack, slot);
  }

  async #fill(pack: OpenedPack, slot: number): Promise<void> {
    const manifest = manifestOf(pack, slot);
    if (manifest === null) return;
    for (const { holder } of directNeeds(entryAt(pack, slot).id, manifest)) {
      if (!this.#removed.has(holder) || this.#filled.has(holder)) continue;
      this.#filled.add(holder);
      const stored = await this.#from.store.read(holder);
      if (stored === null || stored.body === null) continue;
      const brought = await openStored(this.#from, stored, holder);
      await this.#fill(brought, stored.slot);
      await refill(this.#to, brought, holder);
    }
  }
}
