/** Lets saves of one originator go one after the other, in the order in which they came; those of others go on beside them. */
export class SaveTurns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Does the work when all that came before it has ended, however it ended. */
  async take<T>(originator: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(originator);
    const turn = before === undefined ? work() : before.then(work);
    const ended = turn.catch(() => undefined);
    this.#last.set(originator, ended);
    try {
      return await turn;
    } finally {
      if (this.#last.get(originator) === ended) this.#last.delete(originator);
    }
  }
}
