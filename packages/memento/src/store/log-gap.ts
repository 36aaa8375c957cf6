/** No crash loses so many commits at once. */
const GAP_MAX = 10_000;

/**
 * True where a number of the log stands so far above the last one known that it must have been changed itself: what lies
 * between was never written. A smaller gap is commits that are lost.
 */
export const isLeap = (last: number, number: number): boolean => number - last > GAP_MAX;
