import type { StoreMethod } from "./intercept.ts";

/** What became of one call. Holds no secrets, no bodies and no error texts. */
export interface ObservedCall {
  readonly method: StoreMethod;
  /** Which memento, timeline or caretaker it was about, with its method: see `describeCall`. */
  readonly about: string;
  /** Of an iterable the number of the step, from 0; null for all other methods. */
  readonly step: number | null;
  readonly durationMs: number;
  /** `ok`, the code of the MementoError that it threw, or `other` for an error that is none. */
  readonly outcome: string;
  /** Bytes of headers and bodies that were handed to the store. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** How many durations were how long. */
export interface DurationCounts {
  readonly count: number;
  readonly sumMs: number;
  readonly maxMs: number;
  /** `counts[i]` of them took at most `DURATION_BOUNDS_MS[i]`, and longer than the bound before; the last count is of what took longer than all bounds. */
  readonly counts: readonly number[];
}

/** What is known of the calls of one method. */
export interface MethodCounts {
  /** Calls; an iterable counts once, by its first step. */
  readonly calls: number;
  /** Items that an iterable was asked for; equal to `calls` for all other methods. */
  readonly steps: number;
  /** By outcome: how many steps ended in `ok`, in each error code, or in `other`. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Of steps. */
  readonly durations: DurationCounts;
}

/** The upper bounds of the buckets, in milliseconds: the usual ones of Prometheus, from a tenth of a millisecond on. */
export const DURATION_BOUNDS_MS: readonly number[] = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
];

interface Tally {
  calls: number;
  steps: number;
  readonly outcomes: Map<string, number>;
  bytesIn: number;
  bytesOut: number;
  sumMs: number;
  maxMs: number;
  readonly counts: number[];
}

/** Counts a store's calls in memory that does not grow with their number. One may be handed to several stores. */
export class StoreMetrics {
  readonly #tallies = new Map<string, Tally>();

  /** Counts one call, or one step of an iterable. */
  add({ method, step, durationMs, outcome, bytesIn, bytesOut }: Omit<ObservedCall, "about">): void {
    const tally = this.#tallies.get(method) ?? emptyTally();
    this.#tallies.set(method, tally);
    tally.calls += (step ?? 0) === 0 ? 1 : 0;
    tally.steps += 1;
    tally.outcomes.set(outcome, (tally.outcomes.get(outcome) ?? 0) + 1);
    tally.bytesIn += bytesIn;
    tally.bytesOut += bytesOut;
    tally.sumMs += durationMs;
    tally.maxMs = Math.max(tally.maxMs, durationMs);
    const found = DURATION_BOUNDS_MS.findIndex((bound) => durationMs <= bound);
    const bucket = found < 0 ? DURATION_BOUNDS_MS.length : found;
    tally.counts[bucket] = (tally.counts[bucket] ?? 0) + 1;
  }

  /** Everything that was counted so far, by method, as plain data. */
  snapshot(): Readonly<Record<string, MethodCounts>> {
    return Object.fromEntries(
      [...this.#tallies].map(([method, { outcomes, sumMs, maxMs, counts, ...rest }]) => [
        method,
        {
          ...rest,
          outcomes: Object.fromEntries(outcomes),
          durations: { count: rest.steps, sumMs, maxMs, counts: [...counts] },
        },
      ]),
    );
  }
}

function emptyTally(): Tally {
  const counts = [...DURATION_BOUNDS_MS, Infinity].map(() => 0);
  return { calls: 0, steps: 0, outcomes: new Map(), bytesIn: 0, bytesOut: 0, sumMs: 0, maxMs: 0, counts };
}
