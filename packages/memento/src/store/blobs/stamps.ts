import type { Clock } from "../../core/ports.ts";

/** No wall clock counts beyond this, so that stamps stay exact integers whatever an operator sets. Year 2223. */
const NOW_MAX_MS = 8_000_000_000_000;

/**
 * Makes the stamps by which commits of different logs are put in one order: microseconds since 1970 by the wall clock, but
 * always more than any stamp that this process has made or met. So commits of one process are in their order whatever
 * its clock does, and so are commits of two processes where one has seen the other's. Only for display: what may be
 * written is decided by positions in one log, never by stamps.
 */
export class Stamps {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A stamp above all that were met. */
  next(): number {
    this.#last = Math.max(Math.floor(Math.min(this.#clock.now(), NOW_MAX_MS) * 1_000), this.#last + 1);
    return this.#last;
  }

  /** Takes note of another's stamp. */
  meet(stamp: number): void {
    if (stamp > this.#last) this.#last = stamp;
  }
}
