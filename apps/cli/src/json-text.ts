import { CONTROLS } from "./terminal/printable.ts";

const UNESCAPED = new RegExp(CONTROLS, "gu");

/**
 * One JSON document. What JSON has no form for is written readably: a big integer or a number that is none as text, a
 * date as ISO 8601, bytes as base64, a set as an array, a map as an array of pairs, undefined in an array, or alone, as null. Control characters are
 * escaped, also those that JSON allows as they are: a terminal obeys none, and whoever makes them visible leaves the document as it is.
 */
export function toJsonText(value: unknown): string {
  return `${JSON.stringify(plain(value) ?? null, null, 2).replaceAll(UNESCAPED, escaped)}\n`;
}

/** As JSON escapes it; all of them are of the basic plane. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same in one line. */
export function toJsonLine(value: unknown): string {
  return JSON.stringify(plain(value)) ?? "undefined";
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Set) return [...(value as Set<unknown>)].map((item) => plain(item));
  if (value instanceof Map)
    return [...(value as Map<unknown, unknown>)].map(([key, item]) => [plain(key), plain(item)]);
  if (Array.isArray(value)) return value.map((item: unknown) => plain(item));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
