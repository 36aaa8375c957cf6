import type { Clock } from "../../core/ports.ts";

/**
 * Holds a rate: tokens come in evenly, up to one second's worth, and are taken out by what is done. More than there are
 * may be taken, which is how a cost that is known only afterwards is paid: then the next one waits longer. In any span of
 * time no more is granted than `perSecond` for each of its seconds, one second's worth, and what one call took beyond it.
 */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #clock: Clock;
  #level: number;
  #at: number;

  constructor(perSecond: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#clock = clock;
    this.#level = perSecond;
    this.#at = clock.monotonic();
  }

  /** Whole milliseconds until this many may be taken; 0 when they may be now. What is more than the bucket holds waits for a full one. */
  waitMs(amount: number): number {
    this.#fill();
    const missing = Math.min(amount, this.#perSecond) - this.#level;
    // Sums of fractions: a millionth of a token is not waited for.
    return missing <= 1e-6 * this.#perSecond ? 0 : Math.ceil((missing / this.#perSecond) * 1_000);
  }

  /** Takes tokens, whether they are there or not. */
  take(amount: number): void {
    this.#fill();
    this.#level -= amount;
  }

  #fill(): void {
    const now = this.#clock.monotonic();
    this.#level = Math.min(this.#perSecond, this.#level + ((now - this.#at) / 1_000) * this.#perSecond);
    this.#at = now;
  }
}
