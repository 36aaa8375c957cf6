import type { SQLInputValue } from "node:sqlite";

import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import { rowValue } from "../../../core/row-value.ts";
import { nameOf } from "../json-text.ts";
import { rowField } from "../row-field.ts";
import type { TargetColumn } from "./target.ts";

const COLUMN_VALUES = "and a column holds text, numbers, booleans, dates and bytes";
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** Puts a batch's rows into the order of the columns, and refuses what the table could not hold unchanged. */
export class RowBinder {
  /** The values of the last row, in the order of the columns; the same array for every row. */
  readonly values: SQLInputValue[];
  readonly #columns: readonly TargetColumn[];
  readonly #keys: readonly boolean[];
  readonly #names: ReadonlySet<string>;

  /** `keys` are the columns that may not be NULL because a row is found by them. */
  constructor(columns: readonly TargetColumn[], keys: readonly string[]) {
    this.#columns = columns;
    this.#keys = columns.map(({ name }) => keys.includes(name));
    this.#names = new Set(columns.map(({ name }) => name));
    this.values = columns.map(() => null);
  }

  /**
   * Takes the values of `row` into `values`. A property that is missing is NULL. Throws RECORD_INVALID for anything but an
   * object of known columns, and UNSUPPORTED_VALUE for a value that a column cannot hold; both name row and column.
   */
  bind(row: unknown, index: number): void {
    if (typeof row !== "object" || row === null || Array.isArray(row)) {
      throw refusal("RECORD_INVALID", `rows[${index}]`, "is not an object of columns");
    }
    const record = row as Readonly<Record<string, unknown>>;
    const columns = this.#columns;
    let known = 0;
    for (let place = 0; place < columns.length; place++) {
      const column = columns[place] as TargetColumn;
      const value = rowValue(record, column.name);
      if (value !== undefined || Object.hasOwn(record, column.name)) known += 1;
      const bound = bindValue(value, column, index);
      if (bound === null && this.#keys[place] === true) {
        throw refusal("RECORD_INVALID", rowField(index, column.name), "is NULL, and rows are found by it");
      }
      this.values[place] = bound;
    }
    if (Object.keys(record).length > known) this.#refuseUnknown(record, index);
  }

  #refuseUnknown(record: object, index: number): void {
    for (const name of Object.keys(record)) {
      if (!this.#names.has(name)) throw refusal("RECORD_INVALID", rowField(index, name), "is no column of the table");
    }
  }
}

function refusal(code: ErrorCode, item: string, problem: string): MementoError {
  return new MementoError(code, `${item} ${problem}`, { details: { item } });
}

function bindValue(value: unknown, column: TargetColumn, index: number): SQLInputValue {
  switch (typeof value) {
    case "string":
      // SQLite keeps UTF-8, which has no lone surrogates: they would come back as another character.
      if (!value.isWellFormed())
        throw unsupported(column, index, "holds a lone surrogate, which SQLite text cannot hold");
      return value;
    case "number":
      if (Number.isNaN(value)) throw unsupported(column, index, "is NaN, which SQLite would turn into NULL");
      // A number is bound as a float; where no affinity turns 5.0 into 5 again, the whole number is meant.
      return column.keepsFloats && Number.isSafeInteger(value) ? BigInt(value) : value;
    case "bigint":
      if (value > INT64_MAX || value < INT64_MIN)
        throw unsupported(column, index, "is an integer of more than 64 bits");
      return value;
    case "boolean":
      return value ? 1n : 0n;
    case "undefined":
      return null;
    case "object":
      return value === null || value instanceof Uint8Array ? value : bindObject(value, column, index);
    default:
      throw unsupported(column, index, `is a ${typeof value}, ${COLUMN_VALUES}`);
  }
}

function bindObject(value: object, column: TargetColumn, index: number): string {
  if (!(value instanceof Date)) throw unsupported(column, index, `is ${nameOf(value)}, ${COLUMN_VALUES}`);
  if (Number.isNaN(value.getTime())) throw unsupported(column, index, "is an invalid date");
  return value.toISOString();
}

function unsupported(column: TargetColumn, index: number, problem: string): MementoError {
  return refusal("UNSUPPORTED_VALUE", rowField(index, column.name), problem);
}
