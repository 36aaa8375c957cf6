/** How the event loop fared during some work. */
export interface Blocked {
  /** The longest time for which nothing else could run, in milliseconds. */
  readonly longestMs: number;
  /** All times of a millisecond or more for which nothing else could run, together. */
  readonly totalMs: number;
}

const STRETCH_MS = 1;

/**
 * Does the work and watches the event loop: a callback that the loop runs in each of its turns notes the time since its
 * last one. The work's own first and last stretch count.
 */
export async function blockedDuring(work: () => Promise<unknown>): Promise<Blocked> {
  let [longestMs, totalMs, running] = [0, 0, true];
  let last = performance.now();
  const note = () => {
    const now = performance.now();
    const stretch = now - last;
    last = now;
    longestMs = Math.max(longestMs, stretch);
    if (stretch >= STRETCH_MS) totalMs += stretch;
  };
  const turn = () => {
    if (!running) return;
    note();
    setImmediate(turn);
  };
  setImmediate(turn);
  try {
    await work();
  } finally {
    note();
    running = false;
  }
  return { longestMs, totalMs };
}
