/** Bytes that may be on their way at once, and how many requests. */
export interface ReadAhead {
  readonly bytesMax: number;
  readonly requestsMax: number;
}

/**
 * Begins work on items before their turn, and gives the results in the items' order. One item is always under way, however
 * large it is. What was begun when the reader stops is waited for, and its failure told to nobody.
 */
export async function* readAhead<Item, Result>(
  items: AsyncIterable<Item>,
  { bytesMax, requestsMax }: ReadAhead,
  bytesOf: (item: Item) => number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const begun: { readonly result: Promise<Result>; readonly bytes: number }[] = [];
  let bytes = 0;
  const take = async (): Promise<Result> => {
    const [first] = begun;
    if (first === undefined) throw new RangeError("nothing was begun");
    const result = await first.result;
    begun.shift();
    bytes -= first.bytes;
    return result;
  };
  try {
    for await (const item of items) {
      const next = bytesOf(item);
      while (begun.length >= requestsMax || (begun.length > 0 && bytes + next > bytesMax)) yield await take();
      const result = work(item);
      // It is looked at in its turn; until then its failure is not an unhandled one.
      result.catch(() => undefined);
      begun.push({ result, bytes: next });
      bytes += next;
    }
    while (begun.length > 0) yield await take();
  } finally {
    await Promise.allSettled(begun.map(async ({ result }) => await result));
  }
}
