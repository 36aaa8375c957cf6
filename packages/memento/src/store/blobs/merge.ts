import { concurrently } from "./turns.ts";

/** A stream that is being merged, and the item that is its next. */
interface Lane<T> {
  readonly items: AsyncIterator<T>;
  next: T;
}

/** Streams that are begun at once. */
const STARTS_AT_ONCE = 12;

/**
 * Puts sorted streams into one: holds one item of each, in a heap, and asks a stream for its next only when its last one
 * was taken. Ends the streams when it is ended.
 */
export async function* merge<T>(
  streams: readonly AsyncIterable<T>[],
  compare: (a: T, b: T) => number,
): AsyncIterable<T> {
  const heap: Lane<T>[] = [];
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  try {
    await concurrently(iterators, STARTS_AT_ONCE, async (items) => {
      const first = await items.next();
      if (first.done !== true) siftUp(heap, { items, next: first.value }, compare);
    });
    for (let [lane] = heap; lane !== undefined; [lane] = heap) {
      yield lane.next;
      const following = await lane.items.next();
      if (following.done === true) removeTop(heap, compare);
      else {
        lane.next = following.value;
        siftDown(heap, compare);
      }
    }
  } finally {
    for (const items of iterators) await items.return?.();
  }
}

function siftUp<T>(heap: Lane<T>[], lane: Lane<T>, compare: (a: T, b: T) => number): void {
  let index = heap.push(lane) - 1;
  while (index > 0) {
    const parent = (index - 1) >>> 1;
    const above = heap[parent];
    if (above === undefined || compare(above.next, lane.next) <= 0) return;
    heap[parent] = lane;
    heap[index] = above;
    index = parent;
  }
}

function siftDown<T>(heap: Lane<T>[], compare: (a: T, b: T) => number): void {
  for (let index = 0; ;) {
    let least = index;
    for (const child of [2 * index + 1, 2 * index + 2]) {
      const [one, other] = [heap[child], heap[least]];
      if (one !== undefined && other !== undefined && compare(one.next, other.next) < 0) least = child;
    }
    const [upper, lower] = [heap[index], heap[least]];
    if (least === index || upper === undefined || lower === undefined) return;
    heap[index] = lower;
    heap[least] = upper;
    index = least;
  }
}

function removeTop<T>(heap: Lane<T>[], compare: (a: T, b: T) => number): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  heap[0] = last;
  siftDown(heap, compare);
}
