import { types } from "node:util";

import { jsonWithBigints } from "../../core/json.ts";

/** Built-in classes whose content is in none of their properties, or in each of them a bit. */
const OPAQUE: readonly ((value: object) => boolean)[] = [
  (value) => ArrayBuffer.isView(value),
  (value) => value instanceof Error,
  types.isAnyArrayBuffer,
  types.isMap,
  types.isSet,
  types.isWeakMap,
  types.isWeakSet,
  types.isRegExp,
  types.isPromise,
];

/** A value as JSON text, bigints in their digits; `problem` throws, with the rest of a sentence, where JSON would lose something of it or make something else of it. */
export function jsonText(value: unknown, problem: (text: string) => never): string {
  let text: string | undefined;
  try {
    text = jsonWithBigints(value);
  } catch {
    problem("cannot be written as JSON: it holds itself");
  }
  const lost = lossOf(value);
  if (lost !== null) problem(`holds ${lost}, which JSON cannot hold`);
  return text ?? problem("is nothing that JSON knows");
}

/** What JSON would lose of a value that does not hold itself, for people; null for nothing. What is undefined is left out of objects, and null in arrays. */
export function lossOf(value: unknown): string | null {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? null : String(value);
    case "function":
    case "symbol":
      return `a ${typeof value}`;
    case "object":
      return value === null ? null : lossOfObject(value);
    default:
      return null;
  }
}

function lossOfObject(value: object): string | null {
  if (types.isDate(value)) return Number.isNaN(value.getTime()) ? "an invalid date" : null;
  if (OPAQUE.some((isOpaque) => isOpaque(value))) return nameOf(value);
  // What says itself how it is to stand in JSON.
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") return lossOf(Reflect.apply(toJSON, value, [""]));
  for (const each of Array.isArray(value) ? value : Object.values(value)) {
    const lost = lossOf(each);
    if (lost !== null) return lost;
  }
  return null;
}

/** What a value is, for a sentence about one that cannot be stored. */
export function nameOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return `a ${typeof value}`;
  if (Array.isArray(value)) return "an array";
  const made: unknown = value.constructor;
  return typeof made === "function" && made !== Object ? `a ${made.name}` : "an object";
}
