import { MementoError } from "../core/errors.ts";
import { randomText } from "../core/ids.ts";
import { keepShape, nothing } from "../core/shapes.ts";
import {
  describeAddress,
  type Lease,
  type LeaseHolder,
  type TimelineRequest,
  type TimelineState,
} from "../core/timeline.ts";
import { systemProcessProbe, type ProcessProbe } from "./process-identity.ts";
import type { Vault } from "./vault.ts";

/** How a timeline is held. */
export interface LeaseOptions {
  /** After this long without renewal others may take over; default 15,000 ms. */
  readonly leaseDurationMs?: number;
  readonly probe?: ProcessProbe;
  /** False switches off the holder's own look at its lease, so that only store and sinks refuse it. For tests of just that. Default true. */
  readonly selfCheck?: boolean;
}

/** The default time after which a silent holder may be taken over. */
const LEASE_DURATION_MS = 15_000;

/** Renewals also carry requests, such as to pause, to the holder: nobody likes to wait for those. */
const RENEWAL_MS_MAX = 2_000;

/** A held lease, renewed in the background until released. */
export class LeaseKeeper implements AsyncDisposable {
  /** The timeline as it stood when the lease was taken. */
  readonly state: TimelineState;
  /** Aborts with FENCED when the lease is lost. */
  readonly signal: AbortSignal;
  readonly #vault: Vault;
  readonly #durationMs: number;
  readonly #selfCheck: boolean;
  readonly #lost = new AbortController();
  readonly #owner: string;
  readonly #holder: LeaseHolder;
  #stopRenewing: () => void = () => undefined;
  #renewing: Promise<void> | null = null;
  #request: TimelineRequest | null = null;
  #released = false;

  private constructor(vault: Vault, state: TimelineState, holder: LeaseHolder, durationMs: number, selfCheck: boolean) {
    this.state = state;
    this.signal = this.#lost.signal;
    this.#vault = vault;
    this.#durationMs = durationMs;
    this.#selfCheck = selfCheck;
    this.#owner = state.lease.owner ?? "";
    this.#holder = holder;
    this.#request = state.request;
  }

  static {
    const lease = { epoch: 0, owner: null, expiresAt: 0, holder: null, check: "" };
    keepShape(new LeaseKeeper(nothing, { record: nothing, lease, head: null, request: null }, nothing, 0, true));
  }

  /**
   * Takes the lease of a timeline, over a holder that is silent for too long or known to be dead. LOCKED when somebody alive
   * holds it. `seen` is how the timeline stood a moment ago: when nobody held it then, it is not looked at again before.
   */
  static async acquire(
    vault: Vault,
    timeline: string,
    options: LeaseOptions = {},
    seen?: TimelineState,
  ): Promise<LeaseKeeper> {
    const { leaseDurationMs = LEASE_DURATION_MS, probe = systemProcessProbe, selfCheck = true } = options;
    const holder = probe.self();
    // Two attempts: another one may take the same free lease between look and grasp; then it holds it.
    for (let attempt = 0; attempt < 2; attempt++) {
      const isKnownFree = attempt === 0 && seen?.lease.owner === null;
      const state = isKnownFree ? seen : await vault.timeline(timeline);
      if (!mayTake(state.lease, vault.clock.now(), probe)) throw lockedBy(state);
      const lease = vault.leaseOf(timeline, {
        epoch: state.lease.epoch + 1,
        owner: randomText(vault.random, 16),
        expiresAt: vault.clock.now() + leaseDurationMs,
        holder,
      });
      if (!(await vault.store.acquireLease({ timeline, lease }))) continue;
      // Read again: a save of the old holder may have been acknowledged between the look and the new epoch.
      const taken = await vault.timeline(timeline);
      const keeper = new LeaseKeeper(vault, taken, holder, leaseDurationMs, selfCheck);
      keeper.#stopRenewing = vault.clock.every(Math.min(leaseDurationMs / 3, RENEWAL_MS_MAX), () =>
        keeper.#renewInBackground(),
      );
      return keeper;
    }
    throw lockedBy(await vault.timeline(timeline));
  }

  get epoch(): number {
    return this.state.lease.epoch;
  }

  /** What somebody asked the holder to do, as of the last renewal; at first what the holder before was asked and has not done. */
  get request(): TimelineRequest | null {
    return this.#request;
  }

  /** Takes back what the holder before was asked and has not done. */
  async forgetRequest(): Promise<void> {
    await this.#vault.store.requestOf(this.state.record.key, null);
    // A renewal under way may have read it before.
    await this.#renewing;
    this.#request = null;
  }

  /** Throws FENCED when the lease is known to be lost. Store and sinks refuse late writes anyway; this only saves the effort. */
  demand(): void {
    if (this.#selfCheck) this.signal.throwIfAborted();
  }

  /** Renews now; sees requests. */
  async renew(): Promise<void> {
    const timeline = this.state.record.key;
    const lease = this.#vault.leaseOf(timeline, {
      epoch: this.epoch,
      owner: this.#owner,
      expiresAt: this.#vault.clock.now() + this.#durationMs,
      holder: this.#holder,
    });
    const state = await this.#vault.store.renewLease({ timeline, lease });
    if (state !== null) {
      this.#request = state.request;
      return;
    }
    this.#stopRenewing();
    if (this.#released) return;
    const where = describeAddress(this.state.record);
    this.#lost.abort(
      new MementoError("FENCED", `The lease of ${where} (epoch ${this.epoch}) was taken over`, {
        details: { timeline, epoch: this.epoch },
      }),
    );
  }

  /** Gives the lease up, if it still is this one's; may be called again. */
  async release(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    this.#stopRenewing();
    await this.#renewing;
    const timeline = this.state.record.key;
    const lease = this.#vault.leaseOf(timeline, { epoch: this.epoch, owner: null, expiresAt: 0, holder: null });
    await this.#vault.store.releaseLease({ timeline, lease }, this.#owner);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #renewInBackground(): void {
    this.#renewing ??= this.renew()
      // A store that cannot be reached now may be there at the next beat; until then the lease runs on, and the epoch guards the data.
      .catch((error: unknown) => {
        if (!(error instanceof MementoError && error.retryable)) this.#lost.abort(error);
      })
      .finally(() => {
        this.#renewing = null;
      });
  }
}

function mayTake(lease: Lease, now: number, probe: ProcessProbe): boolean {
  if (lease.owner === null || lease.expiresAt <= now) return true;
  return lease.holder !== null && probe.isKnownDead(lease.holder);
}

function lockedBy({ record, lease }: TimelineState): MementoError {
  const who =
    lease.holder === null
      ? "another worker"
      : `process ${lease.holder.pid} on ${lease.holder.host.split(" ")[0] ?? ""}`;
  const until = new Date(lease.expiresAt).toISOString();
  return new MementoError("LOCKED", `${describeAddress(record)} is held by ${who}, until ${until} unless renewed`, {
    details: { timeline: record.key, epoch: lease.epoch, expiresAt: until, pid: lease.holder?.pid ?? null },
  });
}
