import type { Clock } from "../core/ports.ts";

/** A smaller group is not worth one of its own. */
export const GROUP_MIN = 8;

/**
 * Decides how many of the saves that wait are committed next. Writers that save again and again wait for the store together,
 * and then the store waits for them. Where both take about as long, they are better off in two groups, one of which works
 * while the other's saves are committed. Decision 21.
 */
export class CommitGroups {
  readonly #clock: Pick<Clock, "monotonic">;
  /** How many are being committed now, or were just before. */
  #size = 0;
  #isUnderWay = false;
  /** The store was at work while the event loop turned: there is something to gain. */
  #isApart = false;
  #beganAt = 0;
  #endedAt = 0;
  /** How long the store took for the last large group, in milliseconds. */
  #storeMs = 0;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** How many saves the store is at work on. */
  get underWay(): number {
    return this.#isUnderWay ? this.#size : 0;
  }

  /** Nobody waits any more: the next group is the first of several, or the only one. */
  restart(): void {
    this.#size = 0;
  }

  /** How many of these go next. */
  next(waiting: number): number {
    const before = this.#size;
    if (before === 0) return this.#isWorthTwo(waiting) ? Math.ceil(waiting / 2) : waiting;
    // Left alone the two groups grow unequal, until most work at once and then wait at once.
    return waiting <= before ? waiting : Math.ceil((waiting + before) / 2);
  }

  begin(saves: number): void {
    this.#size = saves;
    this.#isUnderWay = true;
    this.#isApart = false;
    this.#beganAt = this.#clock.monotonic();
  }

  /** To be called when the event loop has turned. */
  turn(): void {
    if (this.#isUnderWay) this.#isApart = true;
  }

  end(): void {
    this.#isUnderWay = false;
    this.#endedAt = this.#clock.monotonic();
    if (this.#size < 2 * GROUP_MIN) return;
    this.#storeMs = this.#isApart ? this.#endedAt - this.#beganAt : 0;
  }

  #isWorthTwo(waiting: number): boolean {
    if (waiting < 2 * GROUP_MIN || this.#storeMs === 0) return false;
    const workMs = this.#clock.monotonic() - this.#endedAt;
    // Much slower stores take no longer for all than for half, and much slower writers gain nothing.
    return this.#storeMs <= 1.5 * workMs && workMs <= 3 * this.#storeMs;
  }
}
