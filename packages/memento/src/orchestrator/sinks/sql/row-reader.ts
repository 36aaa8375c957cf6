import { MementoError, type ErrorCode } from "../../../core/errors.ts";
import { rowValue } from "../../../core/row-value.ts";
import { rowField } from "../row-field.ts";
import type { TargetColumn } from "./target.ts";

/** Turns a value into what the engine is sent; `problem` throws UNSUPPORTED_VALUE with the rest of a sentence. */
export type ValueWriter<Sent> = (value: unknown, column: TargetColumn, problem: (text: string) => never) => Sent;

/** Puts the rows of a batch into the order of the columns, and refuses what the table could not hold unchanged. */
export class RowReader<Sent> {
  readonly #columns: readonly TargetColumn[];
  readonly #keys: readonly boolean[];
  readonly #names: ReadonlySet<string>;
  readonly #write: ValueWriter<Sent>;
  readonly #nothing: Sent;

  /** `keys` are the columns that may not be NULL because a row is found by them; `nothing` is what stands for NULL. */
  constructor(columns: readonly TargetColumn[], keys: readonly string[], write: ValueWriter<Sent>, nothing: Sent) {
    this.#columns = columns;
    this.#keys = columns.map(({ name }) => keys.includes(name));
    this.#names = new Set(columns.map(({ name }) => name));
    this.#write = write;
    this.#nothing = nothing;
  }

  /**
   * Calls `take` with each column's value of `rows[index]`, in their order; a property that is missing is NULL. RECORD_INVALID for anything but
   * an object of known columns, UNSUPPORTED_VALUE for a value that a column cannot hold; both name row and column.
   */
  read(rows: readonly unknown[], index: number, take: (sent: Sent, place: number) => void): void {
    const row = rows[index];
    if (typeof row !== "object" || row === null || Array.isArray(row))
      throw refusal("RECORD_INVALID", `rows[${index}]`, "is not an object of columns");
    const record = row as Readonly<Record<string, unknown>>;
    let known = 0;
    for (const [place, column] of this.#columns.entries()) {
      const value = rowValue(record, column.name);
      if (value !== undefined || Object.hasOwn(record, column.name)) known += 1;
      if (value === undefined || value === null) {
        if (this.#keys[place] === true)
          throw refusal("RECORD_INVALID", rowField(index, column.name), "is NULL, and rows are found by it");
        take(this.#nothing, place);
      } else {
        const problem = (text: string): never => {
          throw refusal("UNSUPPORTED_VALUE", rowField(index, column.name), text);
        };
        take(this.#write(value, column, problem), place);
      }
    }
    if (Object.keys(record).length > known) this.#refuseUnknown(record, index);
  }

  #refuseUnknown(record: object, index: number): void {
    for (const name of Object.keys(record))
      if (!this.#names.has(name)) throw refusal("RECORD_INVALID", rowField(index, name), "is no column of the table");
  }
}

function refusal(code: ErrorCode, item: string, problem: string): MementoError {
  return new MementoError(code, `${item} ${problem}`, { details: { item } });
}
