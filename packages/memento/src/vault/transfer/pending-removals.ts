import type { TimelineState } from "../../core/timeline.ts";
import type { Vault } from "../vault.ts";

const PREFIX = "removing-";

/**
 * Remembers, in the store that is copied to, from which memento on removals may not have been repeated yet: a removed
 * memento is appended first and removed then, and a crash in between would leave it live. Kept as the owner of a lease
 * that nobody asks for, on a timeline without mementos beside that of maintenance.
 */
export class PendingRemovals {
  readonly #vault: Vault;
  #state: TimelineState;

  private constructor(vault: Vault, state: TimelineState) {
    this.#vault = vault;
    this.#state = state;
  }

  /** `source` is the id of the store that is copied. */
  static async open(vault: Vault, source: string): Promise<PendingRemovals> {
    const address = { caretaker: "", originator: "copy", partition: source, fork: "" };
    return new PendingRemovals(vault, await vault.ensureTimeline(address, "configuration"));
  }

  /** The first memento whose removal may be missing; null where none is. */
  get since(): string | null {
    const { owner } = this.#state.lease;
    return owner?.startsWith(PREFIX) === true ? owner.slice(PREFIX.length) : null;
  }

  /** Says that this memento, and later ones, may be appended without being removed. */
  async begin(id: string): Promise<void> {
    const { key } = this.#state.record;
    const epoch = this.#state.lease.epoch + 1;
    const lease = this.#vault.leaseOf(key, { epoch, owner: `${PREFIX}${id}`, expiresAt: 0, holder: null });
    await this.#vault.store.acquireLease({ timeline: key, lease });
    this.#state = await this.#vault.timeline(key);
  }

  /** Says that all removals were repeated. */
  async end(): Promise<void> {
    const { record, lease } = this.#state;
    if (lease.owner === null) return;
    const free = this.#vault.leaseOf(record.key, { epoch: lease.epoch, owner: null, expiresAt: 0, holder: null });
    await this.#vault.store.releaseLease({ timeline: record.key, lease: free }, lease.owner);
    this.#state = await this.#vault.timeline(record.key);
  }
}
