import { MementoError } from "../core/errors.ts";

/** How a piece's bytes are to be read: JSON text, JSON text with tagged values inside, or raw bytes. */
export type PieceEncoding = "json" | "tagged" | "bytes";

/** An encoded value. */
export interface EncodedValue {
  readonly encoding: PieceEncoding;
  readonly bytes: Uint8Array;
}

/** The deepest nesting that is kept. */
export const NESTING_LEVELS_MAX = 1_000;

// A value that JSON cannot hold is written as {"$": [tag, payload]}; an object that itself has a key "$" as {"$": ["object", ...]}.
const TAG = "$";

/** A value as it was at one moment; nothing that happens to the value later changes it. */
export type Snapshot =
  | { readonly encoding: "json" | "tagged"; readonly text: string; readonly size: number }
  | { readonly encoding: "bytes"; readonly bytes: Uint8Array; readonly size: number };

/** Captures a value; the quick half of `encodeValue`, and with the same errors. `size` is about that of the encoded value. */
export function snapshotValue(value: unknown, root = "value"): Snapshot {
  if (value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype) {
    return { encoding: "bytes", bytes: value.slice(), size: value.length };
  }
  const plain = escapeValue(value, 0, () => root);
  const text = JSON.stringify(plain);
  return { encoding: plain === value ? "json" : "tagged", text, size: text.length };
}

/** The bytes of a snapshot. */
export function encodeSnapshot(snapshot: Snapshot): EncodedValue {
  const { encoding } = snapshot;
  return encoding === "bytes" ? snapshot : { encoding, bytes: Buffer.from(snapshot.text, "utf8") };
}

/**
 * Encodes plain data as bytes, deterministically: JSON values, and Date, bigint, Map, Set, Uint8Array, Buffer, undefined,
 * array holes, NaN, infinities, -0 and lone surrogates. `root` names the value in messages.
 * Throws UNSUPPORTED_VALUE with the path of a function, symbol, class instance, cycle, or nesting past 1,000 levels.
 */
export function encodeValue(value: unknown, root = "value"): EncodedValue {
  return encodeSnapshot(snapshotValue(value, root));
}

/** Decodes what `encodeValue` wrote; data only, nothing is ever built by a name in the data. Throws DAMAGED for other bytes. */
export function decodeValue(encoded: EncodedValue): unknown {
  const { bytes, encoding } = encoded;
  if (encoding === "bytes") return Uint8Array.from(bytes);
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
    return encoding === "json" ? parsed : unescapeValue(parsed);
  } catch (cause) {
    throw new MementoError("DAMAGED", "A piece does not decode", { cause });
  }
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
    const escaped = isPlain(item) ? item : escapeItem(array, depth, path, index);
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
  if (Object.getOwnPropertySymbols(object).length > 0) throw refused("a symbol as a key", path);
  const source = object as Record<string, unknown>;
  let copy: Record<string, unknown> | undefined;
  let hasTag = false;
  for (const key of Object.keys(source)) {
    const item = source[key];
    const escaped = isPlain(item) ? item : escapeMember(item, depth, path, key);
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

/** True for what JSON holds as it is: most members of most values, and a closure for the path of each would cost more than this. */
function isPlain(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value) && !Object.is(value, -0);
  return typeof value === "string" || typeof value === "boolean" || value === null;
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

function unescapeValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return unescapeArray(value);
  const object = value as Record<string, unknown>;
  const tag = object[TAG];
  if (Array.isArray(tag) && Object.keys(object).length === 1) return untag(String(tag[0]), tag[1]);
  for (const key of Object.keys(object)) {
    const item = object[key];
    const plain = unescapeValue(item);
    if (plain !== item) define(object, key, plain);
  }
  return object;
}

function unescapeArray(array: readonly unknown[]): unknown[] {
  // A fresh array is all holes: those stay where a hole was written.
  const result: unknown[] = [];
  result.length = array.length;
  for (const [index, item] of array.entries()) if (!isHole(item)) result[index] = unescapeValue(item);
  return result;
}

function untag(tag: string, payload: unknown): unknown {
  const list = (): unknown[] => {
    if (Array.isArray(payload)) return payload;
    throw new MementoError("DAMAGED", `A tagged value of kind ${tag} has no list`);
  };
  switch (tag) {
    case "number":
      return Number(payload);
    case "bigint":
      return BigInt(String(payload));
    case "undefined":
      return undefined;
    case "date":
      return new Date(payload === null ? Number.NaN : Number(payload));
    case "map":
      return new Map(list().map((pair) => (pair as unknown[]).map(unescapeValue) as [unknown, unknown]));
    case "set":
      return new Set(list().map(unescapeValue));
    case "buffer":
      return Buffer.from(String(payload), "base64");
    case "bytes":
      return Uint8Array.from(Buffer.from(String(payload), "base64"));
    case "object": {
      const object: Record<string, unknown> = {};
      for (const [key, item] of list() as [string, unknown][]) define(object, key, unescapeValue(item));
      return object;
    }
    default:
      throw new MementoError("FORMAT_UNKNOWN", `A value is of the unknown kind ${JSON.stringify(tag)}`);
  }
}

const tagged = (tag: string, payload: unknown): object => ({ [TAG]: [tag, payload] });

const isHole = (item: unknown): boolean =>
  typeof item === "object" &&
  item !== null &&
  TAG in item &&
  Array.isArray(item[TAG]) &&
  item[TAG][0] === "hole" &&
  Object.keys(item).length === 1;

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}

function refused(what: string, path: Path): MementoError {
  const place = path();
  return new MementoError("UNSUPPORTED_VALUE", `${shorten(place)} is ${what}, which cannot be kept`, {
    details: { path: place.slice(0, 2_000) },
  });
}

const shorten = (place: string): string => (place.length <= 120 ? place : `${place.slice(0, 100)}…`);
