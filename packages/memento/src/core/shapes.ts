const kept: object[] = [];
/** For tests: what is kept. */
export const keptShapes: readonly object[] = kept;

/** What an example is given for what nobody will ever look at in it. */
export const nothing = Object.freeze({}) as never;

/**
 * Keeps one object of its shape for good. V8 forgets a shape when a full collection finds no object of it, and with the
 * shape goes all code that was optimised for it: what is made anew each time would run slowly again after each collection.
 */
export function keepShape(example: object): void {
  kept.push(example);
}
