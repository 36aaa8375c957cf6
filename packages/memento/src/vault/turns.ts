import type { Clock } from "../core/ports.ts";

const TURN_EVERY_MS = 20;

/** Waits until the event loop has gone round once. */
export async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/**
 * Lets signals, timers and other work in during a long loop. A loop that only awaits what is there already (reads from
 * SQLite or from memory) would keep the event loop busy until its end: no Ctrl-C would arrive before that.
 */
export class Turns {
  readonly #clock: Pick<Clock, "monotonic">;
  #lastMs: number;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
    this.#lastMs = clock.monotonic();
  }

  /** Gives the event loop a turn when the last one was 20 ms ago or more, and throws the signal's reason if it is aborted by then. */
  async take(signal?: AbortSignal): Promise<void> {
    if (this.#clock.monotonic() - this.#lastMs >= TURN_EVERY_MS) {
      await nextTurn();
      this.#lastMs = this.#clock.monotonic();
    }
    signal?.throwIfAborted();
  }
}
