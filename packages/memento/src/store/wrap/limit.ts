import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import type { MementoStore } from "../store.ts";
import { interceptStore, type StoreMethod } from "./intercept.ts";
import { TokenBucket } from "./token-bucket.ts";
import { bytesIn, bytesOut } from "./traffic.ts";

/** How much a store is asked to do at once, and how fast. */
export interface LimitOptions {
  /** Calls under way at once; 16 by default. Each `next()` of an iterable is a call. */
  readonly callsAtOnceMax?: number;
  /** Calls that wait for their turn; one more is refused with LOCKED, which is worth trying again. 1000 by default. */
  readonly queueMax?: number;
  /** Left out: as many as there are. */
  readonly callsPerSecondMax?: number;
  /** Of headers and bodies, both ways. Left out: as many as there are. What is read is known only afterwards, and held against the calls that follow. */
  readonly bytesPerSecondMax?: number;
  readonly clock?: Clock;
}

/** Without these in time a lease is lost, and the work behind it: they go before whatever waits, and are never refused. */
const URGENT: ReadonlySet<string> = new Set<StoreMethod>(["renewLease", "releaseLease"]);

/**
 * A store that is asked for no more at once, and no faster, than it is meant to bear. Calls begin in the order in which
 * they came, but for renewed and released leases, which go first. LOCKED when too many wait. `close` waits for the calls
 * that came before it; those that come after it are refused with STORE_CLOSED.
 */
export function limitStore(store: MementoStore, options: LimitOptions = {}): MementoStore {
  const turnstile = new Turnstile(options);
  return interceptStore(store, async (call, proceed) => {
    if (call.method === "close") {
      await turnstile.shut();
      return await proceed();
    }
    await turnstile.enter(bytesIn(call), URGENT.has(call.method));
    let bytes = 0;
    try {
      const answer = await proceed();
      bytes = bytesOut(answer);
      return answer;
    } finally {
      turnstile.leave(bytes);
    }
  });
}

interface Waiting {
  readonly bytes: number;
  readonly begin: () => void;
}

class Turnstile {
  readonly #clock: Clock;
  readonly #callsAtOnceMax: number;
  readonly #queueMax: number;
  readonly #calls: TokenBucket | null;
  readonly #bytes: TokenBucket | null;
  readonly #urgent: Waiting[] = [];
  readonly #queue: Waiting[] = [];
  #running = 0;
  #isPausing = false;
  #isShut = false;
  #whenEmpty: (() => void)[] = [];

  constructor(options: LimitOptions) {
    const {
      callsAtOnceMax = 16,
      queueMax = 1_000,
      callsPerSecondMax,
      bytesPerSecondMax,
      clock = systemClock,
    } = options;
    demandPositive({ callsAtOnceMax, callsPerSecondMax, bytesPerSecondMax });
    this.#clock = clock;
    this.#callsAtOnceMax = callsAtOnceMax;
    this.#queueMax = queueMax;
    this.#calls = callsPerSecondMax === undefined ? null : new TokenBucket(callsPerSecondMax, clock);
    this.#bytes = bytesPerSecondMax === undefined ? null : new TokenBucket(bytesPerSecondMax, clock);
  }

  /** Resolves when it is this call's turn. */
  async enter(bytes: number, isUrgent: boolean): Promise<void> {
    if (this.#isShut) throw new MementoError("STORE_CLOSED", "The store is being closed");
    const queue = isUrgent ? this.#urgent : this.#queue;
    const begun = new Promise<void>((resolve) => queue.push({ bytes, begin: resolve }));
    this.#move();
    if (!isUrgent && this.#queue.length > this.#queueMax) {
      this.#queue.pop();
      throw new MementoError("LOCKED", `${this.#queueMax} calls wait for this store already: one more was refused`, {
        hint: "Try again a little later, or allow more at once.",
        details: { running: this.#running, waiting: this.#queue.length },
      });
    }
    await begun;
  }

  /** Ends a call; `bytes` is what it turned out to have read. */
  leave(bytes: number): void {
    this.#bytes?.take(bytes);
    this.#running -= 1;
    this.#move();
    this.#tellEmpty();
  }

  /** Lets nobody in any more, and resolves once all that had come are through. */
  async shut(): Promise<void> {
    this.#isShut = true;
    const empty = new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    this.#tellEmpty();
    await empty;
  }

  #move(): void {
    while (this.#running < this.#callsAtOnceMax && !this.#isPausing) {
      const queue = this.#urgent.length > 0 ? this.#urgent : this.#queue;
      const [next] = queue;
      if (next === undefined) return;
      const waitMs = Math.max(this.#calls?.waitMs(1) ?? 0, this.#bytes?.waitMs(next.bytes) ?? 0);
      if (waitMs > 0) {
        void this.#pause(waitMs);
        return;
      }
      queue.shift();
      this.#calls?.take(1);
      this.#bytes?.take(next.bytes);
      this.#running += 1;
      next.begin();
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#isPausing = true;
    await this.#clock.sleep(ms);
    this.#isPausing = false;
    this.#move();
  }

  #tellEmpty(): void {
    if (this.#running > 0 || this.#queue.length > 0 || this.#urgent.length > 0) return;
    const all = this.#whenEmpty;
    this.#whenEmpty = [];
    for (const tell of all) tell();
  }
}

function demandPositive(limits: Readonly<Record<string, number | undefined>>): void {
  for (const [name, limit] of Object.entries(limits)) {
    if (limit === undefined || limit > 0) continue;
    throw new MementoError("INVALID_ARGUMENT", `${name} is more than 0, not ${limit}`);
  }
}
