const kept: object[] = [];

/**
 * Keeps one object of its shape for good. V8 forgets a shape when a full collection finds no object of it, and with the
 * shape goes all code that was optimised for it: what is made anew for each load would run slowly again after each collection.
 */
export function keepShape(example: object): void {
  kept.push(example);
}
