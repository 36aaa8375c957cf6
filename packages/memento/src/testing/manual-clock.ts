import type { Clock } from "../core/ports.ts";

interface Timer {
  dueAt: number;
  readonly everyMs: number | null;
  readonly fire: () => void;
}

/** A clock that stands still until it is told to go on: sleeps and intervals end inside `tick` and nowhere else. */
export class ManualClock implements Clock {
  #now: number;
  #elapsed = 0;
  readonly #timers = new Set<Timer>();

  /** Starts at `now`, in milliseconds since 1970; 2026-01-01T00:00:00Z by default. */
  constructor(now: number = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** How many sleeps and intervals wait for a tick. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Sets the wall time, as an operator or a time server does; nothing that waits is affected. */
  setNow(now: number): void {
    this.#now = now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#timers.delete(timer);
        reject(signal?.reason);
      };
      const fire = (): void => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const timer: Timer = { dueAt: this.#elapsed + ms, everyMs: null, fire };
      this.#timers.add(timer);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  every(ms: number, tick: () => void): () => void {
    const timer: Timer = { dueAt: this.#elapsed + ms, everyMs: ms, fire: tick };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets `ms` pass. Everything that falls due meanwhile happens in its order, and what it starts may fall due as well. */
  async tick(ms: number): Promise<void> {
    const until = this.#elapsed + ms;
    await turn();
    for (let timer = this.#nextUntil(until); timer !== undefined; timer = this.#nextUntil(until)) {
      this.#advanceTo(timer.dueAt);
      if (timer.everyMs === null) this.#timers.delete(timer);
      else timer.dueAt += Math.max(timer.everyMs, 1);
      timer.fire();
      await turn();
    }
    this.#advanceTo(until);
  }

  #nextUntil(until: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAt <= until && (next === undefined || timer.dueAt < next.dueAt)) next = timer;
    }
    return next;
  }

  #advanceTo(elapsed: number): void {
    this.#now += Math.max(0, elapsed - this.#elapsed);
    this.#elapsed = Math.max(this.#elapsed, elapsed);
  }
}

/** One turn of the event loop, in which whatever was just woken can ask for its next sleep. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
