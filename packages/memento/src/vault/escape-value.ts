import { MementoError } from "../core/errors.ts";

/** The deepest nesting that is kept. */
export const NESTING_LEVELS_MAX = 1_000;

/** A value that JSON cannot hold is written as {"$": [tag, payload]}; an object that itself has a key "$" as {"$": ["object", ...]}. */
export const TAG = "$";

/** A value in the form that JSON.stringify takes. */
export interface EscapedValue {
  /** The value itself when JSON holds it as it is, otherwise a copy with tags. */
  readonly plain: unknown;
  /** Looks for keys that are symbols, where that was put off; throws UNSUPPORTED_VALUE. */
  readonly checkKeys: (() => void) | null;
}

/** A value with an array of more objects than this has its objects looked through for symbols later: that takes as long as the rest of the walk. */
const OBJECTS_CHECKED_AT_ONCE_MAX = 4_096;

/** Tags what JSON cannot hold. UNSUPPORTED_VALUE names what cannot be kept by its path from `root`. */
export function escapePlain(value: unknown, root: string): EscapedValue {
  if (isJsonLeaf(value)) return { plain: value, checkKeys: null };
  const families: Family[] = [];
  if (typeof value !== "object" || !isJsonTree(value as object, 0, families)) {
    return { plain: escapeValue(value, 0, () => root), checkKeys: null };
  }
  const checkKeys = (): void => {
    if (!families.some(hasSymbolKeys)) return;
    // This walk throws, with the path, unless the key has gone meanwhile.
    escapeValue(value, 0, () => root);
    throw refused("an object with a symbol as a key", () => root);
  };
  if (families.some((family) => Array.isArray(family) && family.length > OBJECTS_CHECKED_AT_ONCE_MAX)) {
    return { plain: value, checkKeys };
  }
  checkKeys();
  return { plain: value, checkKeys: null };
}

/** An object, or an array with objects among its items. */
export type Family = object | readonly unknown[];

/** True when one of them has a key that is a symbol, of which JSON would say nothing. */
export function hasSymbolKeys(family: Family): boolean {
  if (!Array.isArray(family)) return hasSymbolKey(family);
  return family.some((item) => typeof item === "object" && item !== null && hasSymbolKey(item as object));
}

function hasSymbolKey(object: object): boolean {
  return Object.getOwnPropertySymbols(object).length > 0;
}

/** True for what JSON holds as it is and has no members: most members of most values. */
export function isJsonLeaf(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return typeof value === "string" || typeof value === "boolean" || value === null;
}

/**
 * True when JSON holds an array or object as it is, down to `NESTING_LEVELS_MAX`. Nearly all values are of this sort, so
 * this is what a save costs beside its JSON.stringify: no paths, no copies, and for..in, which takes a third of the time of
 * Object.keys. What it says no to is walked again by `escapeValue`, which knows why. `families` takes up the objects on the
 * way: whether they have symbols as keys is still to be seen.
 */
export function isJsonTree(value: object, depth: number, families: Family[]): boolean {
  if (depth >= NESTING_LEVELS_MAX) return false;
  if (Array.isArray(value)) return isJsonArray(value, depth, families);
  families.push(value);
  return isJsonObject(value, depth, families);
}

function isJsonArray(array: readonly unknown[], depth: number, families: Family[]): boolean {
  let hasObjects = false;
  for (let index = 0; index < array.length; index++) {
    const item = array[index];
    if (isJsonLeaf(item)) continue;
    if (typeof item !== "object" || item === null || depth + 1 >= NESTING_LEVELS_MAX) return false;
    const isList = Array.isArray(item);
    if (isList ? !isJsonArray(item, depth + 1, families) : !isJsonObject(item, depth + 1, families)) return false;
    if (!isList) hasObjects = true;
  }
  // One entry for all of them: 80,000 single ones cost a third of the walk.
  if (hasObjects) families.push(array.slice());
  return true;
}

function isJsonObject(object: object, depth: number, families: Family[]): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in object) {
    if (key === TAG) return false;
    const item = (object as Record<string, unknown>)[key];
    if (isJsonLeaf(item) || (typeof item === "object" && isJsonTree(item as object, depth + 1, families))) continue;
    // Something enumerable that was put into Object.prototype is no member.
    if (Object.hasOwn(object, key)) return false;
  }
  return true;
}

type Path = () => string;

/** Returns `value` itself when JSON holds it as it is, otherwise a copy with tags in place of what JSON cannot hold. */
function escapeValue(value: unknown, depth: number, path: Path): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : tagged("number", Object.is(value, -0) ? "-0" : String(value));
    case "bigint":
      return tagged("bigint", String(value));
    case "undefined":
      return tagged("undefined", null);
    case "object":
      if (value === null) return null;
      if (depth >= NESTING_LEVELS_MAX) throw refused("a cycle, or nesting past 1,000 levels", path);
      return Array.isArray(value) ? escapeArray(value, depth + 1, path) : escapeObject(value, depth + 1, path);
    default:
      throw refused(`a ${typeof value}`, path);
  }
}

function escapeArray(array: readonly unknown[], depth: number, path: Path): unknown {
  let copy: unknown[] | undefined;
  for (let index = 0; index < array.length; index++) {
    const item = array[index];
    const escaped = isJsonLeaf(item) ? item : escapeItem(array, depth, path, index);
    if (escaped !== item || copy !== undefined) {
      copy ??= array.slice(0, index);
      copy.push(escaped);
    }
  }
  return copy ?? array;
}

function escapeObject(object: object, depth: number, path: Path): unknown {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return escapeBuiltIn(object, depth, path);
  if (hasSymbolKey(object)) throw refused("a symbol as a key", path);
  const source = object as Record<string, unknown>;
  let copy: Record<string, unknown> | undefined;
  let hasTag = false;
  for (const key of Object.keys(source)) {
    const item = source[key];
    const escaped = isJsonLeaf(item) ? item : escapeMember(item, depth, path, key);
    if (key === TAG) hasTag = true;
    if (escaped !== item) {
      // A spread takes a key named __proto__ as a key, and so does an assignment to one that is there; 3 times as fast as defineProperty.
      copy ??= { ...source };
      copy[key] = escaped;
    }
  }
  // A null prototype comes back as an ordinary object: the prototype is not data.
  const result = copy ?? source;
  return hasTag ? tagged("object", Object.entries(result)) : result;
}

function escapeItem(array: readonly unknown[], depth: number, path: Path, index: number): unknown {
  if (!(index in array)) return tagged("hole", null);
  return escapeValue(array[index], depth, () => `${path()}[${index}]`);
}

function escapeMember(item: unknown, depth: number, path: Path, key: string): unknown {
  return escapeValue(item, depth, () => `${path()}.${key}`);
}

function escapeBuiltIn(object: object, depth: number, path: Path): unknown {
  if (object instanceof Date) return tagged("date", Number.isNaN(object.getTime()) ? null : object.getTime());
  if (object instanceof Map) {
    const pairs = [...object].map(([key, item], index) => [
      escapeValue(key, depth, () => `${path()}.key(${index})`),
      escapeValue(item, depth, () => `${path()}.get(${typeof key === "object" ? index : String(key)})`),
    ]);
    return tagged("map", pairs);
  }
  if (object instanceof Set) {
    return tagged(
      "set",
      [...object].map((item, index) => escapeValue(item, depth, () => `${path()}.item(${index})`)),
    );
  }
  if (Buffer.isBuffer(object)) return tagged("buffer", object.toString("base64"));
  if (object instanceof Uint8Array && Object.getPrototypeOf(object) === Uint8Array.prototype) {
    return tagged("bytes", Buffer.from(object.buffer, object.byteOffset, object.byteLength).toString("base64"));
  }
  throw refused(`an instance of ${object.constructor?.name ?? "a class"}`, path);
}

const tagged = (tag: string, payload: unknown): object => ({ [TAG]: [tag, payload] });

function refused(what: string, path: Path): MementoError {
  const place = path();
  return new MementoError("UNSUPPORTED_VALUE", `${shorten(place)} is ${what}, which cannot be kept`, {
    details: { path: place.slice(0, 2_000) },
  });
}

const shorten = (place: string): string => (place.length <= 120 ? place : `${place.slice(0, 100)}…`);
