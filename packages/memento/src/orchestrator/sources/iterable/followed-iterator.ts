import { isMementoError, MementoError } from "../../../core/errors.ts";
import { throwIfCancelled } from "../cancellation.ts";

/** What came of asking for the next item. */
export type FollowedStep<Item> =
  | { readonly kind: "item"; readonly item: Item }
  | { readonly kind: "end" }
  | { readonly kind: "failure"; readonly error: MementoError };

/** Somebody else's iterable, while it is iterated. */
export interface FollowedIterator<Item> {
  /** Throws CANCELLED as soon as the signal fires, whether or not the iterable has answered. */
  next(): Promise<FollowedStep<Item>>;
  /** Returns an iterable that has not ended. To be called once, whatever happened before. */
  leave(): Promise<void>;
}

/** Iterates what a user has made; what it throws becomes SOURCE_FAILED, unless it is one of our own errors. */
export function followed<Item>(
  name: string,
  make: () => AsyncIterable<Item> | Iterable<Item>,
  signal: AbortSignal,
): FollowedIterator<Item> {
  let iterator: AsyncIterator<Item> | Iterator<Item> | null = null;
  let ended = false;
  let waiting = false;
  // One listener for the whole iteration: racing each step against one promise would pile up its reactions.
  let wake: (error: unknown) => void = () => {};
  const onAbort = (): void => wake(cancelled());
  signal.addEventListener("abort", onAbort);

  function cancelled(): unknown {
    try {
      throwIfCancelled(signal, name);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async function step(): Promise<IteratorResult<Item>> {
    iterator ??= begin(make());
    const next = iterator.next();
    if (!(next instanceof Promise)) return next;
    waiting = true;
    const result = await new Promise<IteratorResult<Item>>((resolve, reject) => {
      wake = reject;
      next.then(resolve, reject);
    });
    waiting = false;
    return result;
  }

  return {
    next: async () => {
      throwIfCancelled(signal, name);
      try {
        const result = await step();
        if (result.done !== true) return { kind: "item", item: result.value };
        ended = true;
        return { kind: "end" };
      } catch (error) {
        if (isMementoError(error, "CANCELLED") && signal.aborted) throw error;
        ended = true;
        return { kind: "failure", error: sourceError(name, error) };
      }
    },
    leave: async () => {
      signal.removeEventListener("abort", onAbort);
      if (ended) return;
      const returning = Promise.resolve(iterator?.return?.());
      // An iterable that has not answered yet may never do so, and returns only after its answer.
      if (!waiting) await returning;
      else returning.catch(() => {});
    },
  };
}

function begin<Item>(iterable: AsyncIterable<Item> | Iterable<Item>): AsyncIterator<Item> | Iterator<Item> {
  return Symbol.asyncIterator in iterable ? iterable[Symbol.asyncIterator]() : iterable[Symbol.iterator]();
}

function sourceError(name: string, error: unknown): MementoError {
  if (isMementoError(error)) return error;
  return new MementoError("SOURCE_FAILED", `${name} threw while it was read`, { cause: error });
}
