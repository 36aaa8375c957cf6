import { keepShape } from "../../core/shapes.ts";
import { isJsonLeaf, TAG } from "../escape-value.ts";

/**
 * Remembers flat objects: those that are nothing but texts, numbers, truth values and null under plain keys. So cheaply
 * that to look whether one is still the same costs a fraction of writing it again.
 *
 * All of them lie in one array, each its keys and then its values: an object for each would keep the collector of garbage
 * busy for longer than all the rest. What was remembered stays where it is.
 */
export class RowStore {
  readonly #cells: unknown[];
  #size = 0;
  #keys: readonly string[] = [];

  /** `expected` is how many cells will be taken at first: an array that grows bit by bit is copied again and again. */
  constructor(expected = 0) {
    this.#cells = Array<unknown>(expected);
  }

  /** How many cells are taken, by rows that are still needed and by others. */
  get size(): number {
    return this.#size;
  }

  /** Remembers an object as it is now and gives its place; -1 for any other kind of value. */
  remember(row: object): number {
    if (!isPlain(row)) return -1;
    const cells = this.#cells;
    const known = this.#keys;
    const place = this.#size;
    cells[place] = known;
    let count = 0;
    let isAlike = true;
    for (const key in row) {
      const value = (row as Readonly<Record<string, unknown>>)[key];
      if (!isJsonLeaf(value)) return -1;
      isAlike &&= known[count] === key;
      count += 1;
      cells[place + count] = value;
    }
    if (!isAlike || count !== known.length) {
      const keys = keysOf(row, count);
      if (keys === null) return -1;
      this.#keys = keys;
      cells[place] = keys;
    }
    this.#size += count + 1;
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
    const own = this.#size;
    for (let index = 0; index <= keys.length; index++) this.#cells[own + index] = other.#cells[place + index];
    this.#size += keys.length + 1;
    return own;
  }
}

/** The keys of a row with so many members that were met; null where it cannot be put together again by them. */
function keysOf(row: object, count: number): readonly string[] | null {
  const keys = Object.keys(row);
  // Members of the prototype are no members, "__proto__" cannot be assigned as a key, and the tag has a meaning.
  return keys.length !== count || keys.includes(TAG) || keys.includes("__proto__") ? null : keys;
}

function isPlain(row: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(row);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return (row as { readonly toJSON?: unknown }).toJSON === undefined;
}

keepShape(new RowStore());
