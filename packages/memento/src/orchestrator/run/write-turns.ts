import { isRefused } from "./refused-rows.ts";

/** The writes of one attempt. Those to one sink come one after the other, for the token of each counts the ones before it. */
export class WriteTurns {
  readonly #last = new Map<string, Promise<void>>();

  get areUnderWay(): boolean {
    return this.#last.size > 0;
  }

  /** True while a write to this sink is under way. */
  isTaken(sink: string): boolean {
    return this.#last.has(sink);
  }

  /**
   * Writes when it is its turn. Behind a write that failed it fails with the same error, for that one's rows may be in the sink under
   * the token that would be its own; unless they were refused: then nothing of them is there.
   */
  async take(sink: string, write: () => Promise<void>): Promise<void> {
    const before = this.#last.get(sink);
    const mine = before === undefined ? write() : before.catch(demandRefused).then(write);
    this.#last.set(sink, mine);
    try {
      await mine;
    } finally {
      if (this.#last.get(sink) === mine) this.#last.delete(sink);
    }
  }

  /** Resolves once none is under way; throws what one of them throws. */
  async done(): Promise<void> {
    while (this.areUnderWay) await Promise.all(this.#last.values());
  }
}

function demandRefused(error: unknown): void {
  if (!isRefused(error)) throw error;
}
