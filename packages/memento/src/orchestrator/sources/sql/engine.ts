import { MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { jsonProblem, parseJson } from "../json/parse-json.ts";
import type { KeyValues } from "../keyset/keyset-source.ts";

/** A value in a statement: the text that stands for it, with its engine's mark where a parameter is to be, and the parameter. */
export interface Bound {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** A statement, and what stands for its marks in turn. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** A row, and what its columns of the key are as JSON. */
export interface KeyedRow {
  readonly row: Record<string, unknown>;
  readonly key: KeyValues;
}

/** What is read, and by what it is ordered. */
export interface RowsShape {
  /** The table or query as it stands behind FROM; its rows are called `m` there. */
  readonly place: string;
  /** The columns of the records; null for all. */
  readonly columns: readonly string[] | null;
  readonly order: readonly string[];
}

/** An engine's part in reading rows. Errors are MementoErrors; what is wrong with the statement is INVALID_ARGUMENT. */
export interface RowsEngine {
  quote(name: string): string;
  /**
   * What is selected of the rows, so that every value is had exactly. INVALID_ARGUMENT where rows cannot be read in the order of one
   * of the columns.
   */
  select(shape: RowsShape, signal: AbortSignal): Promise<string>;
  /** How a column of the key is selected, so that its value is had exactly. */
  selectKey(column: string, alias: string): string;
  /** False for what `rows` does not give as a value of the key. */
  isKey(value: Json): boolean;
  /** A value of the key, as `rows` gave it, for comparing with its column. */
  bind(value: Json): Bound;
  /** The rows of a statement whose columns `memento_key_0`, ... are the key. The signal ends the connection of one that takes long. */
  rows(statement: Statement, keys: readonly string[], signal: AbortSignal): Promise<readonly KeyedRow[]>;
  /** The number that a statement gives as `count`. */
  count(statement: Statement): Promise<number>;
  close(): Promise<void>;
}

/** The columns by their names, where the engine gives every value exactly as it is. */
export function plainSelect(quote: RowsEngine["quote"], { columns }: RowsShape): string {
  return columns === null ? "m.*" : columns.map((column) => `m.${quote(column)}`).join(", ");
}

/** The largest whole numbers are bigints, all others numbers. */
export function wholeNumber(text: string | bigint): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** What a column of JSON says, as in JSON files. RECORD_INVALID for a number that cannot be kept. */
export function jsonValue(text: string, url: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw new MementoError("RECORD_INVALID", `${url}: a row's JSON ${jsonProblem(error)}`);
  }
}
