import { randomBytes, randomFillSync } from "node:crypto";

/** Where time comes from: passed in everywhere, so that tests and simulators own it. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z; may jump. Never used to order mementos. */
  now(): number;
  /** Milliseconds that never go back; only differences mean anything. */
  monotonic(): number;
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `tick` about every `ms` until the returned function is called; never keeps the process alive. */
  every(ms: number, tick: () => void): () => void;
}

/** Where randomness comes from. */
export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
}

/** The most that a timer holds, 24.8 days: of a longer one Node.js makes 1 ms. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      let timer: NodeJS.Timeout;
      const wait = (left: number): void => {
        timer = setTimeout(
          () => {
            if (left > TIMER_MS_MAX) {
              wait(left - TIMER_MS_MAX);
              return;
            }
            signal?.removeEventListener("abort", onAbort);
            resolve();
          },
          Math.min(left, TIMER_MS_MAX),
        );
      };
      wait(ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  every: (ms, tick) => {
    const timer = setInterval(tick, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

const POOL_BYTES = 4_096;
const pool = new Uint8Array(POOL_BYTES);
/** What stands before it in the pool was handed out. */
let poolStart = POOL_BYTES;

/** The machine's own source of randomness, fetched in pools: one call to the kernel for each few bytes costs more than sealing them. */
export const systemRandom: Random = {
  bytes: (count) => {
    if (count > POOL_BYTES) return randomBytes(count);
    if (poolStart + count > POOL_BYTES) {
      randomFillSync(pool);
      poolStart = 0;
    }
    const start = poolStart;
    poolStart += count;
    const taken = pool.slice(start, poolStart);
    // What was handed out is never kept: keys are among it.
    pool.fill(0, start, poolStart);
    return taken;
  },
};
