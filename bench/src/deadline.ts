import { setTimeout as sleep } from "node:timers/promises";

/** The promise's own outcome, or an error that says what took longer than `limitMs`. */
export async function within<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  const stopped = new AbortController();
  const expiry = sleep(limitMs, undefined, { signal: stopped.signal }).then(() => {
    throw new Error(`${what} took longer than ${limitMs / 1000} s`);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    stopped.abort();
    expiry.catch(() => undefined); // The aborted timer, or an expiry that the race has already reported.
  }
}

/**
 * Tries again every `pauseMs` until `attempt` returns something else than `undefined`. What the attempt throws ends the
 * waiting; after `limitMs` it is an error that says what was waited for.
 */
export async function until<T>(
  attempt: () => Promise<T | undefined>,
  { limitMs, pauseMs, what }: { limitMs: number; pauseMs: number; what: string },
): Promise<T> {
  const expires = performance.now() + limitMs;
  for (;;) {
    const result = await attempt();
    if (result !== undefined) return result;
    if (performance.now() > expires) throw new Error(`${what} took longer than ${limitMs / 1000} s`);
    await sleep(pauseMs);
  }
}
