import { isJsonLeaf, TAG } from "../escape-value.ts";

/** A flat object as it was: its keys in their order, and what they had. Objects with the same keys share them. */
export interface KnownRow {
  readonly keys: readonly string[];
  readonly values: readonly unknown[];
}

/**
 * Remembers objects that are nothing but texts, numbers, truth values and null under plain keys: so cheaply that to look
 * whether one is still the same costs a fraction of writing it again.
 */
export class RowMemory {
  #keys: readonly string[] = [];

  /** The object as it is now; null for any other kind of value. */
  remember(row: object): KnownRow | null {
    if (!isPlain(row)) return null;
    const known = this.#keys;
    const values: unknown[] = [];
    let isAlike = true;
    for (const key in row) {
      const value = (row as Readonly<Record<string, unknown>>)[key];
      if (!isJsonLeaf(value)) return null;
      isAlike &&= known[values.length] === key;
      values.push(value);
    }
    if (!isAlike || values.length !== known.length) {
      const keys = Object.keys(row);
      // Members of the prototype are no members, "__proto__" cannot be put together again, and the tag has a meaning.
      if (keys.length !== values.length || keys.includes(TAG) || keys.includes("__proto__")) return null;
      this.#keys = keys;
    }
    return { keys: this.#keys, values };
  }
}

/** True when the object has what it had, in the same order. It is not looked through for symbols as keys again. */
export function isUnchanged(row: object, { keys, values }: KnownRow): boolean {
  if (!isPlain(row)) return false;
  let index = 0;
  for (const key in row) {
    if (key !== keys[index]) return false;
    if (!Object.is((row as Readonly<Record<string, unknown>>)[key], values[index])) return false;
    index += 1;
  }
  return index === keys.length;
}

/** The row's JSON. */
export function rowText({ keys, values }: KnownRow): string {
  const row: Record<string, unknown> = {};
  for (let index = 0; index < keys.length; index++) row[keys[index] ?? ""] = values[index];
  return JSON.stringify(row);
}

function isPlain(row: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(row);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return (row as { readonly toJSON?: unknown }).toJSON === undefined;
}
