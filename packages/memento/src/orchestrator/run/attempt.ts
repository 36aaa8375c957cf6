import { MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { StageDefinition } from "../pipeline/stage.ts";

/** What an attempt is bound by. */
export interface AttemptLimits {
  readonly stage: Pick<StageDefinition, "name">;
  readonly timeoutMs: number | null;
  readonly heartbeatMs: number | null;
  readonly clock: Clock;
  readonly lease: Pick<LeaseKeeper, "signal" | "demand">;
  /** Aborts when the run is to stop. */
  readonly stop: AbortSignal;
}

/** While a stage sleeps by `context.sleep`, its limits stand still; they are looked at again this often. */
const ASLEEP_LOOK_MS = 1_000;

/** One attempt at a stage: how long it may take, and the end of its context, after which it can read and write no more. */
export class Attempt {
  /** Aborts when the run is to stop, and when the attempt is given up. */
  readonly signal: AbortSignal;
  readonly #limits: AttemptLimits;
  readonly #own: AbortController | null;
  /** null: nothing was ever begun, as by most. */
  #underWay: Set<Promise<unknown>> | null = null;
  #givenUp: PromiseWithResolvers<never> | null = null;
  #over = false;
  /** Why it was given up; null where it came to its end. */
  #givenUpFor: { readonly reason: unknown } | null = null;
  #beganMs = 0;
  #beatMs = 0;
  #sleptMs = 0;
  /** Sleeps at once count once. */
  #sleeps = 0;
  #asleepSinceMs = 0;

  constructor(limits: AttemptLimits) {
    this.#limits = limits;
    this.#own = limits.timeoutMs === null && limits.heartbeatMs === null ? null : new AbortController();
    this.signal = this.#own === null ? limits.stop : AbortSignal.any([limits.stop, this.#own.signal]);
  }

  /** Throws once the attempt is over or was given up. */
  demand(): void {
    if (!this.#over) return;
    if (this.#givenUpFor !== null) throw this.#givenUpFor.reason;
    const { name } = this.#limits.stage;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `This attempt at stage ${name} is over: its context can do nothing any more`,
    );
  }

  /** Says that the stage is alive. */
  beat(): void {
    if (this.#own !== null) this.#beatMs = this.#limits.clock.monotonic();
  }

  /** Runs a stage's code to its end, or until the attempt is given up. STAGE_TIMEOUT, FENCED. */
  async run<Value>(code: () => Value | Promise<Value>): Promise<Value> {
    try {
      if (this.#own !== null) this.#beganMs = this.#beatMs = this.#limits.clock.monotonic();
      const result = code();
      return result instanceof Promise ? await this.#unlessGivenUp(result) : result;
    } finally {
      this.#over = true;
    }
  }

  async #unlessGivenUp<Value>(result: Promise<Value>): Promise<Value> {
    const { lease } = this.#limits;
    const onLost = (): void => this.#leaseLost();
    const done = this.#own === null ? null : new AbortController();
    this.#givenUp = Promise.withResolvers<never>();
    lease.signal.addEventListener("abort", onLost, { once: true });
    try {
      if (done !== null) this.#watchInBackground(done.signal);
      return await Promise.race([result, this.#givenUp.promise]);
    } finally {
      lease.signal.removeEventListener("abort", onLost);
      done?.abort();
    }
  }

  /** Takes part in `settled`: what has begun to change something is waited for before anything is taken back. */
  async track<Value>(work: Promise<Value>): Promise<Value> {
    const underWay = (this.#underWay ??= new Set());
    underWay.add(work);
    try {
      return await work;
    } finally {
      underWay.delete(work);
      this.beat();
    }
  }

  /** True: nothing of the attempt is under way. */
  get isSettled(): boolean {
    return this.#underWay === null || this.#underWay.size === 0;
  }

  /** Resolves once nothing of the attempt can change anything any more. */
  async settled(): Promise<void> {
    while (this.#underWay !== null && this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Time in here does not count. */
  async asleep<Value>(wait: () => Promise<Value>): Promise<Value> {
    const { clock } = this.#limits;
    if (this.#sleeps === 0) this.#asleepSinceMs = clock.monotonic();
    this.#sleeps += 1;
    try {
      return await wait();
    } finally {
      this.#sleeps -= 1;
      if (this.#sleeps === 0) this.#sleptMs += clock.monotonic() - this.#asleepSinceMs;
      this.beat();
    }
  }

  #giveUp(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#givenUpFor = { reason };
    this.#own?.abort(reason);
    this.#givenUp?.reject(reason);
  }

  /** A stage whose timeline is somebody else's is not waited for; where the holder's own look at its lease is off, it goes on. */
  #leaseLost(): void {
    try {
      this.#limits.lease.demand();
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #watchInBackground(done: AbortSignal): void {
    // It ends by `done` alone: what it finds is told through `#giveUp`.
    this.#watch(done).catch((error: unknown) => {
      if (!done.aborted) this.#giveUp(error);
    });
  }

  async #watch(done: AbortSignal): Promise<void> {
    const { clock, stage, timeoutMs, heartbeatMs } = this.#limits;
    while (!this.#over) {
      const asleep = this.#sleeps > 0;
      const now = clock.monotonic();
      const left = timeoutMs === null ? Infinity : timeoutMs - (now - this.#beganMs - this.#sleptMs);
      const quiet = heartbeatMs === null ? Infinity : heartbeatMs - (now - this.#beatMs);
      if (!asleep && Math.min(left, quiet) <= 0) {
        const problem =
          left <= 0 ? `took longer than ${timeoutMs} ms` : `gave no sign of life for more than ${heartbeatMs} ms`;
        this.#giveUp(
          new MementoError("STAGE_TIMEOUT", `Stage ${stage.name} ${problem}`, {
            details: { stage: stage.name, timeoutMs, heartbeatMs },
          }),
        );
        return;
      }
      await clock.sleep(asleep ? ASLEEP_LOOK_MS : Math.min(left, quiet), done);
    }
  }
}
