/** Bytes that may be on their way at once, and how many requests. */
export interface ReadAheadLimits {
  readonly bytesMax: number;
  readonly requestsMax: number;
}

/**
 * Begins work on items before their turn, and gives the results in the items' order. One item is always under way, however
 * large it is. What was begun when the reader stops is waited for, and its failure told to nobody.
 */
export async function* readAhead<Item, Result>(
  items: AsyncIterable<Item>,
  limits: ReadAheadLimits,
  bytesOf: (item: Item) => number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun = new Begun<Result>(limits);
  try {
    for await (const item of items) {
      const bytes = bytesOf(item);
      while (!begun.hasRoomFor(bytes)) yield await begun.first();
      begun.add(work(item), bytes);
    }
    while (begun.size > 0) yield await begun.first();
  } finally {
    await begun.settled();
  }
}

class Begun<Result> {
  readonly #limits: ReadAheadLimits;
  readonly #works: { readonly result: Promise<Result>; readonly bytes: number }[] = [];
  #bytes = 0;

  constructor(limits: ReadAheadLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#works.length;
  }

  hasRoomFor(bytes: number): boolean {
    const { bytesMax, requestsMax } = this.#limits;
    return this.size === 0 || (this.size < requestsMax && this.#bytes + bytes <= bytesMax);
  }

  add(result: Promise<Result>, bytes: number): void {
    // It is looked at in its turn; until then its failure is not an unhandled one.
    result.catch(() => undefined);
    this.#works.push({ result, bytes });
    this.#bytes += bytes;
  }

  async first(): Promise<Result> {
    const [work] = this.#works;
    if (work === undefined) throw new RangeError("nothing was begun");
    const result = await work.result;
    this.#works.shift();
    this.#bytes -= work.bytes;
    return result;
  }

  async settled(): Promise<void> {
    await Promise.allSettled(this.#works.map(async ({ result }) => await result));
  }
}
