/** Lets pieces of work of one process go one after the other, in the order in which they were asked for. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the work after all earlier work has ended, well or not. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn;
    return turn;
  }
}

/** Runs `work` on every item, at most `limit` at once; gives the results in the items' order. The first error counts. */
export async function concurrently<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as T);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  const failed = lanes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return results;
}

/** What `work` gives for every item, in the items' order; at most `limit` are worked on at once, and no more are begun than are asked for and a `limit` ahead. */
export async function* inOrder<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  limit: number,
  work: (item: T) => Promise<R>,
): AsyncIterable<R> {
  // Settled promises: an error waits until its turn comes, or for nobody.
  const ahead: Promise<readonly [PromiseSettledResult<R>]>[] = [];
  const next = async (): Promise<R> => {
    const [settled] = (await ahead.shift()) ?? [];
    if (settled?.status === "fulfilled") return settled.value;
    throw settled?.reason;
  };
  try {
    for await (const item of items) {
      ahead.push(Promise.allSettled([work(item)]));
      if (ahead.length >= limit) yield await next();
    }
    while (ahead.length > 0) yield await next();
  } finally {
    await Promise.all(ahead);
  }
}
