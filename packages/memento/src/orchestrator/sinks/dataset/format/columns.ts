import { types } from "node:util";

import { MementoError, type ErrorCode } from "../../../../core/errors.ts";
import { rowField } from "../../row-field.ts";

/** The types that a column can have; `json` takes any plain data. Each may be null. */
export const COLUMN_TYPES = ["string", "number", "integer", "boolean", "timestamp", "bytes", "json"] as const;

/** The type of a column: `integer` is a whole number of 64 bits, `number` a float of 64 bits, `timestamp` a `Date`. */
export type DatasetColumnType = (typeof COLUMN_TYPES)[number];

/** Columns in their order. */
export type Columns = Readonly<Record<string, DatasetColumnType>>;

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** What a row must be; throws RECORD_INVALID for anything but an object. */
export function recordOf(row: unknown, index: number): Readonly<Record<string, unknown>> {
  if (typeof row === "object" && row !== null && !Array.isArray(row)) return row as Readonly<Record<string, unknown>>;
  throw refusal("RECORD_INVALID", `rows[${index}]`, "is not an object of columns");
}

/** The columns of a batch, each of the type of its first value. RECORD_INVALID for one that holds nothing at all. */
export function inferColumns(rows: readonly unknown[]): Columns {
  const columns = new Map<string, DatasetColumnType | null>();
  for (const [index, row] of rows.entries()) {
    for (const [name, value] of Object.entries(recordOf(row, index))) {
      const isNothing = value === null || value === undefined;
      if ((columns.get(name) ?? null) === null)
        columns.set(name, isNothing ? null : typeOf(value, rowField(index, name)));
    }
  }
  for (const [name, type] of columns) {
    if (type !== null) continue;
    throw new MementoError(
      "RECORD_INVALID",
      `The column ${name} holds nothing in the first batch: its type is not known`,
      {
        hint: "Declare the columns with their types: columns: { ... }.",
        details: { column: name },
      },
    );
  }
  return Object.fromEntries(columns) as Columns;
}

function typeOf(value: unknown, item: string): DatasetColumnType {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return typeof value as "string" | "number" | "boolean";
    case "bigint":
      return "integer";
    case "object":
      if (types.isDate(value)) return "timestamp";
      return value instanceof Uint8Array ? "bytes" : "json";
    default:
      throw refusal("UNSUPPORTED_VALUE", item, `is a ${typeof value}, which no file can hold`);
  }
}

/** Throws RECORD_INVALID where a row has a column that the dataset does not. */
export function refuseUnknown(record: Readonly<Record<string, unknown>>, columns: Columns, index: number): void {
  for (const name of Object.keys(record)) {
    if (!Object.hasOwn(columns, name))
      throw refusal("RECORD_INVALID", rowField(index, name), "is no column of the dataset");
  }
}

/**
 * A value as its column takes it: a bigint for `integer`, else the value itself; null for what is missing. RECORD_INVALID for
 * a value of another type, UNSUPPORTED_VALUE for one that files cannot hold unchanged.
 */
export function columnValue(value: unknown, type: DatasetColumnType, item: () => string): unknown {
  if (value === null || value === undefined) return null;
  switch (type) {
    case "string":
      if (typeof value !== "string") break;
      if (value.isWellFormed()) return value;
      throw refusal("UNSUPPORTED_VALUE", item(), "holds a lone surrogate, which UTF-8 cannot hold");
    case "number":
      if (typeof value === "number") return value;
      break;
    case "integer":
      if (typeof value === "bigint" ? value <= INT64_MAX && value >= INT64_MIN : Number.isSafeInteger(value))
        return BigInt(value as bigint | number);
      break;
    case "boolean":
      if (typeof value === "boolean") return value;
      break;
    case "timestamp":
      if (types.isDate(value) && !Number.isNaN(value.getTime())) return value;
      break;
    case "bytes":
      if (value instanceof Uint8Array) return value;
      break;
    case "json":
      return value;
  }
  if (typeof value === "function" || typeof value === "symbol")
    throw refusal("UNSUPPORTED_VALUE", item(), `is a ${typeof value}, which no file can hold`);
  throw refusal("RECORD_INVALID", item(), `is not of the column's type, ${type}`);
}

/** An error about one row, or one value of it. */
export function refusal(code: ErrorCode, item: string, problem: string): MementoError {
  return new MementoError(code, `${item} ${problem}`, { details: { item } });
}
