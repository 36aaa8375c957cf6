import type { DuckDBValue } from "@duckdb/node-api";

import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import { digitsAsJson } from "../../../core/json.ts";
import { lossOf, nameOf } from "../json-text.ts";
import { decimalText } from "./decimal.ts";
import { fractionOfSecond, hasOffset, isCutInterval, isDay } from "./moments.ts";
import type { TargetColumn } from "./target.ts";

/** The types that values wait as, each a name in the client library. */
export type WaitingType =
  | "BOOLEAN"
  | "TINYINT"
  | "SMALLINT"
  | "INTEGER"
  | "BIGINT"
  | "UTINYINT"
  | "USMALLINT"
  | "UINTEGER"
  | "UBIGINT"
  | "FLOAT"
  | "DOUBLE"
  | "VARCHAR"
  | "BLOB";

/** How a column's values wait in the batch before they are stored. */
export interface ColumnBinder {
  /** The type that they wait as. */
  readonly waits: WaitingType;
  /** What turns the waiting column `name` into the target's type. */
  cast(name: string): string;
  /** Takes a value that is not null. Throws a `Refusal` for one that the column could not hold unchanged. */
  bind(value: unknown): DuckDBValue | Uint8Array;
}

/** Why a value is refused: what is wrong with it, never the value. */
export class Refusal extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, problem: string) {
    super(problem);
    this.code = code;
  }
}

/** The error of a refused row or value. */
export function refusedItem(code: ErrorCode, item: string, problem: string): MementoError {
  return new MementoError(code, `${item} ${problem}`, { details: { item } });
}

/** Bits of whole numbers: unsigned types begin with U. HUGEINT waits as text. */
const WHOLE: Readonly<Record<string, readonly [bigint, bigint]>> = Object.fromEntries(
  Object.entries({ TINYINT: 8n, SMALLINT: 16n, INTEGER: 32n, BIGINT: 64n, HUGEINT: 128n }).flatMap(([name, bits]) => [
    [name, [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]],
    [`U${name}`, [0n, (1n << bits) - 1n]],
  ]),
);

/** Digits of a second that a moment's type keeps. */
const MOMENT_DIGITS: Readonly<Record<string, number>> = {
  TIMESTAMP_S: 0,
  TIMESTAMP_MS: 3,
  TIMESTAMP: 6,
  "TIMESTAMP WITH TIME ZONE": 6,
  TIMESTAMP_NS: 9,
};

/** Digits of a second that the type of a time of day keeps. */
const TIME_DIGITS: Readonly<Record<string, number>> = { TIME: 6, "TIME WITH TIME ZONE": 6, TIME_NS: 9 };

/** How values of a column's type are bound. */
export function binderOf({ type }: TargetColumn): ColumnBinder {
  const cast = (name: string): string => `CAST(${name} AS ${type})`;
  const range = WHOLE[type];
  if (range !== undefined) {
    if (type.endsWith("HUGEINT")) return { waits: "VARCHAR", cast, bind: (value) => String(wholeNumber(value, range)) };
    const isWide = type.endsWith("BIGINT");
    const bind = (value: unknown): DuckDBValue => {
      const whole = wholeNumber(value, range);
      return isWide ? whole : Number(whole);
    };
    return { waits: type as WaitingType, cast: (name) => name, bind };
  }
  const momentDigits = MOMENT_DIGITS[type];
  if (momentDigits !== undefined) {
    // The session's zone is UTC. Read at once as a column without a zone, a text would lose its offset; nanoseconds are read as they are meant.
    const moments = (name: string): string => `CAST(CAST(${name} AS TIMESTAMP WITH TIME ZONE) AS ${type})`;
    return {
      waits: "VARCHAR",
      cast: type === "TIMESTAMP_NS" ? cast : moments,
      bind: (value) => moment(value, momentDigits),
    };
  }
  const timeDigits = TIME_DIGITS[type];
  if (timeDigits !== undefined) {
    const zoned = type.endsWith("ZONE");
    return { waits: "VARCHAR", cast, bind: (value) => timeOfDay(value, timeDigits, zoned) };
  }
  if (/[\])]$/.test(type) && !type.startsWith("DECIMAL(") && !type.startsWith("ENUM(")) {
    return { waits: "VARCHAR", cast: (name) => `CAST(CAST(${name} AS JSON) AS ${type})`, bind: nested };
  }
  const decimal = /^DECIMAL\((\d+),\s*(\d+)\)$/.exec(type);
  if (decimal !== null) {
    const [, width, scale] = decimal;
    return { waits: "VARCHAR", cast, bind: (value) => decimalOf(value, Number(width), Number(scale)) };
  }
  switch (type) {
    case "VARCHAR":
      return { waits: "VARCHAR", cast: (name) => name, bind: text };
    case "DOUBLE":
      return { waits: type, cast: (name) => name, bind: (value) => float(value, (number) => number) };
    case "FLOAT":
      return { waits: type, cast: (name) => name, bind: (value) => float(value, Math.fround) };
    case "BOOLEAN":
      return { waits: "BOOLEAN", cast: (name) => name, bind: truth };
    case "BLOB":
      return { waits: "BLOB", cast: (name) => name, bind: bytes };
    case "DATE":
      return { waits: "VARCHAR", cast, bind: day };
    case "INTERVAL":
      return { waits: "VARCHAR", cast, bind: interval };
    case "JSON":
      return { waits: "VARCHAR", cast, bind: json };
    default:
      return { waits: "VARCHAR", cast, bind: onlyText };
  }
}

function wholeNumber(value: unknown, [least, most]: readonly [bigint, bigint]): bigint {
  let whole: bigint;
  if (typeof value === "bigint") whole = value;
  else if (typeof value === "boolean") whole = value ? 1n : 0n;
  else if (typeof value === "number") {
    if (!Number.isInteger(value)) throw new Refusal("RECORD_INVALID", "is no whole number");
    whole = BigInt(value);
  } else if (typeof value === "string") {
    if (!/^[+-]?\d+$/.test(value)) throw new Refusal("RECORD_INVALID", "is no whole number");
    whole = BigInt(value.replace("+", ""));
  } else throw unsupported(value);
  if (whole >= least && whole <= most) return whole;
  throw outOfRange();
}

/** Whole numbers in digits are kept exactly; of others, the column keeps the nearest number that it can, as floats do. */
function float(value: unknown, nearest: (number: number) => number): number {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? nearby(value, value === 0, nearest) : value;
    case "bigint":
      return exactly(value, nearby(Number(value), value === 0n, nearest));
    case "string": {
      if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(value)) throw new Refusal("RECORD_INVALID", "is no number");
      const kept = nearby(Number(value), !/^[^e]*[1-9]/i.test(value), nearest);
      return /^[+-]?\d+$/.test(value) ? exactly(BigInt(value.replace("+", "")), kept) : kept;
    }
    default:
      throw unsupported(value);
  }
}

/** Never an infinity, and 0 for no other number. */
function nearby(number: number, isZero: boolean, nearest: (number: number) => number): number {
  const kept = nearest(number);
  if (Number.isFinite(kept) && (kept === 0) === isZero) return kept;
  throw outOfRange();
}

function exactly(whole: bigint, kept: number): number {
  if (BigInt(kept) === whole) return kept;
  throw new Refusal("RECORD_INVALID", "has more digits than its column keeps");
}

function decimalOf(value: unknown, width: number, scale: number): string {
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "bigint") throw unsupported(value);
  const exact = decimalText(String(value), width, scale);
  if (exact.text !== null) return exact.text;
  throw new Refusal("RECORD_INVALID", exact.problem);
}

function truth(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  if (value === 0 || value === 0n || value === "false") return false;
  if (value === 1 || value === 1n || value === "true") return true;
  if (typeof value === "object") throw unsupported(value);
  throw new Refusal("RECORD_INVALID", "is neither true nor false");
}

function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw unsupported(value);
}

function text(value: unknown): string {
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      if (value instanceof Date) return isoOf(value);
      throw unsupported(value);
  }
}

function moment(value: unknown, digits: number): string {
  if (value instanceof Date && digits >= 3) return isoOf(value);
  const said = value instanceof Date ? isoOf(value) : value;
  if (typeof said !== "string") throw unsupported(value);
  return withDigits(said, digits);
}

function timeOfDay(value: unknown, digits: number, zoned: boolean): string {
  if (typeof value !== "string") throw unsupported(value);
  if (!zoned && hasOffset(value))
    throw new Refusal("RECORD_INVALID", "has an offset from UTC, and its column has no zone");
  return withDigits(value, digits);
}

function withDigits(said: string, digits: number): string {
  if (fractionOfSecond(said) <= digits) return said;
  throw new Refusal("RECORD_INVALID", "has more digits of a second than its column keeps");
}

function interval(value: unknown): string {
  const said = onlyText(value);
  if (!isCutInterval(said)) return said;
  throw new Refusal("RECORD_INVALID", "has parts that are smaller than its column keeps");
}

function day(value: unknown): string {
  const said = value instanceof Date ? isoOf(value) : value;
  if (typeof said !== "string") throw unsupported(value);
  if (isDay(said)) return said;
  throw new Refusal("RECORD_INVALID", "is no day, or has a time of day");
}

function nested(value: unknown): string {
  if (typeof value === "object" && !(value instanceof Date) && !(value instanceof Uint8Array)) return jsonText(value);
  throw unsupported(value);
}

function json(value: unknown): string {
  return typeof value === "string" ? wellFormed(value) : jsonText(value);
}

function onlyText(value: unknown): string {
  if (typeof value === "string") return wellFormed(value);
  throw unsupported(value);
}

/** JSON that says what the value says, or a refusal: whole numbers of any size, dates as ISO text, nothing dropped. */
function jsonText(value: unknown): string {
  const made = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? digitsAsJson(one) : one));
  if (lossOf(value) !== null) throw new Refusal("UNSUPPORTED_VALUE", "holds what JSON cannot hold");
  return wellFormed(made);
}

function isoOf(value: Date): string {
  if (Number.isNaN(value.getTime())) throw new Refusal("UNSUPPORTED_VALUE", "is an invalid date");
  return value.toISOString();
}

function wellFormed(value: string): string {
  // UTF-8 has no lone surrogates: they would come back as another character.
  if (value.isWellFormed()) return value;
  throw new Refusal("UNSUPPORTED_VALUE", "holds a lone surrogate, which DuckDB's text cannot hold");
}

function outOfRange(): Refusal {
  return new Refusal("RECORD_INVALID", "is out of its column's range");
}

function unsupported(value: unknown): Refusal {
  return new Refusal("UNSUPPORTED_VALUE", `is ${nameOf(value)}, which its column does not take`);
}
