/** How long things took, in milliseconds. */
export interface Durations {
  readonly count: number;
  /** Half of them took at most this long. */
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

/** Each bucket is this much wider than the one below it: a percentile is off by 1 % at most. */
const GROWTH = 1.02;
const STEP = Math.log(GROWTH);
/** Nothing is told apart below a microsecond. */
const MS_MIN = 0.001;

/** Counts durations by their size, in memory that does not grow with their number. */
export class DurationHistogram {
  readonly #buckets = new Map<number, number>();
  #count = 0;
  #max = 0;

  add(ms: number): void {
    const bucket = Math.round(Math.log(Math.max(ms, MS_MIN)) / STEP);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
    this.#count += 1;
    this.#max = Math.max(this.#max, ms);
  }

  /** Adds what another one counted. */
  merge(other: DurationHistogram): void {
    for (const [bucket, count] of other.#buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + count);
    this.#count += other.#count;
    this.#max = Math.max(this.#max, other.#max);
  }

  /** What they come to; null when there was none. */
  durations(): Durations | null {
    if (this.#count === 0) return null;
    const [p50, p95] = [this.#percentile(0.5), this.#percentile(0.95)];
    return { count: this.#count, p50, p95, max: this.#max };
  }

  #percentile(share: number): number {
    let left = Math.ceil(this.#count * share);
    for (const [bucket, count] of [...this.#buckets].toSorted(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return Math.min(Math.exp(bucket * STEP), this.#max);
    }
    return this.#max;
  }
}
