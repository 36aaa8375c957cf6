import { availableParallelism } from "node:os";

/** One or two milliseconds of an event loop that has nothing else to do. */
const TURNS_MAX = 2_000;
/** How many answers are waited for asleep, at most, where none comes in that time, or each without any turn. */
const ASLEEP_MAX = 63;

/**
 * Waits for answers that come soon with the event loop turning instead of asleep: a core that has slept wakes late and with
 * cold caches. Timers, signals and other work have their turns. Decision 19.
 */
export class BusyWait {
  readonly #turnsMax: number;
  /** How many of the next answers are waited for asleep, and how many it were when that was last decided. */
  #asleep = 0;
  #lastAsleep = 0;

  /** Where there is one core only, whoever is to answer needs it: then all waiting is asleep. */
  constructor(cores: number = availableParallelism()) {
    this.#turnsMax = cores > 1 ? TURNS_MAX : 0;
  }

  /** What the answer resolves to. */
  async for<T>(answer: Promise<T>): Promise<T> {
    if (this.#asleep > 0) this.#asleep -= 1;
    else if (this.#turnsMax > 0) this.#turnUntil(answer);
    return await answer;
  }

  #turnUntil(answer: Promise<unknown>): void {
    let isThere = false;
    const note = (): void => void (isThere = true);
    answer.then(note, note);
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      if (!isThere && turns < this.#turnsMax) {
        setImmediate(turn);
        return;
      }
      // What a store in this thread answers was there before the first turn.
      const wasOfUse = isThere && turns > 1;
      this.#lastAsleep = wasOfUse ? 0 : Math.min(ASLEEP_MAX, 2 * this.#lastAsleep + 1);
      this.#asleep = this.#lastAsleep;
    };
    setImmediate(turn);
  }
}
