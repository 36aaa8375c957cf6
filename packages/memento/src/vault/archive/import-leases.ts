import { MementoError } from "../../core/errors.ts";
import { describeAddress, type Lease, type TimelineState } from "../../core/timeline.ts";
import { systemProcessProbe } from "../process-identity.ts";
import type { Vault } from "../vault.ts";

const LEASE_DURATION_MS = 60_000;
const RENEWAL_MS = 20_000;

interface Held {
  readonly state: TimelineState;
  lease: Lease;
}

/**
 * The leases under which an import appends. Mementos keep their epochs, so a timeline is taken at each epoch in turn, as
 * its own workers once did. The owner names the file or the store that they come from: what a crash cut short is gone on
 * with at the same epoch, by whoever imports or copies the same again, and nobody else can write in between.
 */
export class ImportLeases implements AsyncDisposable {
  readonly #vault: Vault;
  readonly #owner: string;
  readonly #held = new Map<string, Held>();
  #renewedMs: number;

  constructor(vault: Vault, owner: string) {
    this.#vault = vault;
    this.#owner = owner;
    this.#renewedMs = vault.clock.monotonic();
  }

  /** Makes sure that a timeline is held at exactly this epoch. LOCKED when a worker has it, CONFLICT when it has passed the epoch. */
  async hold(state: TimelineState, epoch: number): Promise<void> {
    const { key } = state.record;
    const held = this.#held.get(key) ?? (await this.#adopt(state));
    this.#held.set(key, held);
    if (held.lease.epoch > epoch) {
      throw new MementoError(
        "CONFLICT",
        `Timeline ${describeAddress(state.record)} was taken at epoch ${held.lease.epoch} in this store, and the file goes on at ${epoch}`,
        { hint: "It goes on here by itself now: import the file into another store.", details: { timeline: key } },
      );
    }
    if (held.lease.epoch < epoch || held.lease.owner !== this.#owner) await this.#take(held, epoch);
    await this.#renewInTime();
  }

  /** Brings timelines to the epochs that they had, so that workers of before are refused, and lets all of them go. */
  async finish(epochs: ReadonlyMap<string, { readonly state: TimelineState; readonly epoch: number }>): Promise<void> {
    for (const [key, { state, epoch }] of epochs) {
      const held = this.#held.get(key);
      if (held === undefined && state.lease.epoch >= epoch) continue;
      if ((held?.lease.epoch ?? state.lease.epoch) < epoch) await this.hold(state, epoch);
    }
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [key, { lease }] of this.#held) {
      this.#held.delete(key);
      if (lease.owner !== this.#owner) continue;
      const free = this.#leaseOf(key, lease.epoch, null);
      await this.#vault.store.releaseLease({ timeline: key, lease: free }, this.#owner);
    }
  }

  async #adopt({ record }: TimelineState): Promise<Held> {
    const state = await this.#vault.timeline(record.key);
    const { owner, expiresAt, holder } = state.lease;
    const isTaken = owner !== null && owner !== this.#owner && expiresAt > this.#vault.clock.now();
    if (isTaken && !(holder !== null && systemProcessProbe.isKnownDead(holder))) {
      throw new MementoError("LOCKED", `${describeAddress(record)} is held by a worker`, {
        details: { timeline: record.key },
      });
    }
    return { state, lease: state.lease };
  }

  /** Takes the lease once for each epoch up to the wanted one. */
  async #take(held: Held, epoch: number): Promise<void> {
    const { key } = held.state.record;
    if (held.lease.epoch === epoch) {
      // Nobody holds it at this very epoch: a save without a lease is of the present one, whoever makes it.
      return;
    }
    for (let next = held.lease.epoch + 1; next <= epoch; next++) {
      const lease = this.#leaseOf(key, next, this.#owner);
      if (!(await this.#vault.store.acquireLease({ timeline: key, lease }))) throw this.#overtaken(held.state);
      held.lease = lease;
    }
  }

  async #renewInTime(): Promise<void> {
    const now = this.#vault.clock.monotonic();
    if (now - this.#renewedMs < RENEWAL_MS) return;
    this.#renewedMs = now;
    for (const [key, held] of this.#held) {
      if (held.lease.owner !== this.#owner) continue;
      const lease = this.#leaseOf(key, held.lease.epoch, this.#owner);
      if ((await this.#vault.store.renewLease({ timeline: key, lease })) === null) throw this.#overtaken(held.state);
      held.lease = lease;
    }
  }

  #leaseOf(timeline: string, epoch: number, owner: string | null): Lease {
    const isHeld = owner !== null;
    return this.#vault.leaseOf(timeline, {
      epoch,
      owner,
      expiresAt: isHeld ? this.#vault.clock.now() + LEASE_DURATION_MS : 0,
      holder: isHeld ? systemProcessProbe.self() : null,
    });
  }

  #overtaken({ record }: TimelineState): MementoError {
    return new MementoError("FENCED", `${describeAddress(record)} was taken over while it was imported`, {
      details: { timeline: record.key },
    });
  }
}
