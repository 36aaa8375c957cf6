import type { Json } from "@mementojs/memento/core";
import { InvalidArgumentError } from "commander";

import { lostNumber, readJsonOrText } from "./exact-json.ts";

/** Collects a repeated option's values. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Reads a whole number from 1 on. */
export function wholeNumber(value: string): number {
  if (!/^[1-9]\d{0,8}$/u.test(value)) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return Number(value);
}

/** Collects repeated `key=value` options; a key may stand once. */
export function collectPairs(
  value: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = value.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must have the form NAME=VALUE.");
  const key = value.slice(0, at);
  if (Object.hasOwn(before, key)) throw new InvalidArgumentError(`${key} is given twice.`);
  return { ...before, [key]: value.slice(at + 1) };
}

/** Collects repeated `path=value` options; a value that is JSON counts as that, any other as text. INVALID_ARGUMENT for a number that would be kept as another one. */
export function collectValues(
  value: string,
  before: Readonly<Record<string, Json>> = {},
): Readonly<Record<string, Json>> {
  const [[path, text] = ["", ""]] = Object.entries(collectPairs(value));
  if (Object.hasOwn(before, path)) throw new InvalidArgumentError(`${path} is given twice.`);
  return { ...before, [path]: jsonOrText(text, path) };
}

function jsonOrText(text: string, path: string): Json {
  const { value, lost } = readJsonOrText(text);
  if (lost === null) return value;
  // A shell takes the quotation marks away from a value that is nothing but a number.
  const isBare = typeof value === "number";
  throw isBare
    ? lostNumber(lost, path, `Quote it as a string, and that for the shell: '${path}="${lost}"'.`)
    : lostNumber(lost, path);
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** Reads a size in bytes: `1000000`, `500kB`, `10 GB`, `1.5GiB`; rounded to whole bytes where a unit is given. */
export function byteSize(value: string): number {
  const size = sizeOf(value);
  if (size !== null && size >= 1) return size;
  const max = Number.MAX_SAFE_INTEGER;
  throw new InvalidArgumentError(`It must be a size in bytes, up to ${max}, such as 500MB, 10GB or 1.5GiB.`);
}

/** Reads a rate in bytes a second: `500kB`, `10MB`, `1.5MiB/s`. */
export function bytesPerSecond(value: string): number {
  const rate = sizeOf(value.replace(/\/s$/u, ""));
  if (rate !== null && rate >= 1) return rate;
  throw new InvalidArgumentError("It must be a rate such as 500kB or 10MB.");
}

/** Null for what is no size, or is none in whole bytes that a number holds. */
function sizeOf(text: string): number | null {
  const [, number = "", unit = ""] = /^(\d{1,16}(?:\.\d{1,6})?)\s*([kKMGT]?i?B)?$/u.exec(text) ?? [];
  if (number === "" || !Object.hasOwn(BYTE_UNITS, unit)) return null;
  const size = Number(number) * (BYTE_UNITS[unit] ?? 0);
  const bytes = unit === "" ? size : Math.round(size);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

const TIME_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000 };

/** Reads a span of time, in milliseconds: `500ms`, `5s`, `2min`, `1h`. */
export function milliseconds(value: string): number {
  const [, number, unit = ""] = /^([1-9]\d{0,8})(ms|s|min|h)$/u.exec(value) ?? [];
  if (number === undefined) throw new InvalidArgumentError("It must be a time such as 500ms, 5s, 2min or 1h.");
  return Number(number) * (TIME_UNITS[unit] ?? 0);
}
