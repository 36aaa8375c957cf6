import { isJsonLeaf, TAG } from "../escape-value.ts";

/**
 * Remembers flat objects: those that are nothing but texts, numbers, truth values and null under plain keys. So cheaply
 * that to look whether one is still the same costs a fraction of writing it again.
 *
 * All of them lie in one array, each its keys and then its values: an object for each would keep the collector of garbage
 * busy for longer than all the rest. What was remembered stays where it is.
 */
export class RowStore {
  readonly #cells: unknown[] = [];
  #keys: readonly string[] = [];

  /** How many cells are taken, by rows that are still needed and by others. */
  get size(): number {
    return this.#cells.length;
  }

  /** Remembers an object as it is now and gives its place; -1 for any other kind of value. */
  remember(row: object): number {
    if (!isPlain(row)) return -1;
    const cells = this.#cells;
    const known = this.#keys;
    const place = cells.length;
    cells.push(known);
    let count = 0;
    let isAlike = true;
    for (const key in row) {
      const value = (row as Readonly<Record<string, unknown>>)[key];
      if (!isJsonLeaf(value)) return this.#giveUp(place);
      isAlike &&= known[count] === key;
      cells.push(value);
      count += 1;
    }
    if (isAlike && count === known.length) return place;
    const keys = Object.keys(row);
    // Members of the prototype are no members, "__proto__" cannot be put together again, and the tag has a meaning.
    if (keys.length !== count || keys.includes(TAG) || keys.includes("__proto__")) return this.#giveUp(place);
    this.#keys = keys;
    cells[place] = keys;
    return place;
  }

  /** True when the object has what it had, in the same order. It is not looked through for symbols as keys again. */
  isUnchanged(row: object, place: number): boolean {
    if (!isPlain(row)) return false;
    const cells = this.#cells;
    const keys = cells[place] as readonly string[];
    let index = 0;
    for (const key in row) {
      if (key !== keys[index]) return false;
      index += 1;
      if (!Object.is((row as Readonly<Record<string, unknown>>)[key], cells[place + index])) return false;
    }
    return index === keys.length;
  }

  /** The row's JSON. */
  textOf(place: number): string {
    const keys = this.#cells[place] as readonly string[];
    const row: Record<string, unknown> = {};
    for (let index = 0; index < keys.length; index++) row[keys[index] ?? ""] = this.#cells[place + 1 + index];
    return JSON.stringify(row);
  }

  /** Takes a row over from another store and gives its place here. */
  take(other: RowStore, place: number): number {
    const keys = other.#cells[place] as readonly string[];
    const own = this.#cells.length;
    for (let index = 0; index <= keys.length; index++) this.#cells.push(other.#cells[place + index]);
    return own;
  }

  #giveUp(place: number): -1 {
    this.#cells.length = place;
    return -1;
  }
}

function isPlain(row: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(row);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return (row as { readonly toJSON?: unknown }).toJSON === undefined;
}
