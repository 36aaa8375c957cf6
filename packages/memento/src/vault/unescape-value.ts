import { MementoError } from "../core/errors.ts";
import { TAG } from "./escape-value.ts";

/** Puts back what `escapePlain` has tagged; data only, nothing is ever built by a name in the data. FORMAT_UNKNOWN, DAMAGED. */
export function unescapeValue(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return unescapeArray(value);
  const object = value as Record<string, unknown>;
  const tag = Object.hasOwn(object, TAG) ? object[TAG] : undefined;
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

const isHole = (item: unknown): boolean =>
  typeof item === "object" &&
  item !== null &&
  Object.hasOwn(item, TAG) &&
  Array.isArray((item as Record<string, unknown[]>)[TAG]) &&
  (item as Record<string, unknown[]>)[TAG]?.[0] === "hole" &&
  Object.keys(item).length === 1;

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}
