import { types } from "node:util";

import { refusal } from "./columns.ts";

const DEPTH_MAX = 200;

/**
 * A value as JSON text: a bigint in digits, a `Date` as ISO text, bytes as base64, and what is undefined left out, as JSON does.
 * UNSUPPORTED_VALUE, with the place of it, for what would come back as something else: NaN, functions, instances of classes, cycles.
 */
export function jsonText(value: unknown, item: () => string, depth = 0): string {
  switch (typeof value) {
    case "string":
      if (value.isWellFormed()) return JSON.stringify(value);
      throw refusal("UNSUPPORTED_VALUE", item(), "holds a lone surrogate, which UTF-8 cannot hold");
    case "number":
      if (Number.isFinite(value)) return floatText(value);
      throw refusal("UNSUPPORTED_VALUE", item(), `is ${value}, which JSON and CSV cannot hold`);
    case "boolean":
    case "bigint":
      return String(value);
    case "object":
      return value === null ? "null" : objectText(value, item, depth);
    default:
      throw refusal("UNSUPPORTED_VALUE", item(), `is a ${typeof value}, which no file can hold`);
  }
}

/** A float that is no safe integer is written as a float, and not as digits that a reader would take for a whole number's. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0.0";
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : JSON.stringify(value);
}

function objectText(value: object, item: () => string, depth: number): string {
  if (depth > DEPTH_MAX)
    throw refusal("UNSUPPORTED_VALUE", item(), `is nested more than ${DEPTH_MAX} deep, or in itself`);
  if (types.isDate(value)) {
    if (!Number.isNaN(value.getTime())) return JSON.stringify(value);
    throw refusal("UNSUPPORTED_VALUE", item(), "is an invalid date");
  }
  if (value instanceof Uint8Array) return JSON.stringify(base64(value));
  if (Array.isArray(value)) {
    const elements = value.map((element, index) => jsonText(element ?? null, () => `${item()}[${index}]`, depth + 1));
    return `[${elements.join(",")}]`;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype)
    throw refusal("UNSUPPORTED_VALUE", item(), "is an instance of a class, which no file can hold");
  const members: string[] = [];
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined) continue;
    members.push(`${JSON.stringify(name)}:${jsonText(member, () => `${item()}.${name}`, depth + 1)}`);
  }
  return `{${members.join(",")}}`;
}

/** Bytes as base64 text. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
