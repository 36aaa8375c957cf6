import { setImmediate as turn } from "node:timers/promises";

import type { DuckDBValue } from "@duckdb/node-api";

import { rowValue } from "../../../core/row-value.ts";
import { rowField } from "../row-field.ts";
import type { Workspace } from "./connection.ts";
import type { DuckdbModule } from "./engine.ts";
import type { TargetColumn } from "./target.ts";
import { binderOf, type ColumnBinder, Refusal, refusedItem } from "./values.ts";

/** Rows of one chunk: DuckDB's own unit. */
const CHUNK_ROWS = 2_048;
/** Rows that are bound before the event loop turns. */
const TURN_ROWS = 8_192;

/** Where a batch waits: `i` counts its rows from 0, and `v0`, `v1` and so on are its columns. */
export const BATCH = "temp.memento_batch";

/** A column of a batch, and how its values are bound. */
export interface BoundColumn {
  readonly column: TargetColumn;
  readonly binder: ColumnBinder;
}

/** How each of the written columns is bound. */
export function boundColumns(written: readonly TargetColumn[]): BoundColumn[] {
  return written.map((column) => ({ column, binder: binderOf(column) }));
}

/** What the batch's columns are stored as. */
export function castColumns(columns: readonly BoundColumn[], prefix = ""): string[] {
  return columns.map(({ binder }, index) => binder.cast(`${prefix}v${index}`));
}

/**
 * Puts rows into the temporary table `memento_batch`. A property that is missing is NULL. Throws RECORD_INVALID for anything but an
 * object of known columns, and for a value that its column could not hold unchanged; UNSUPPORTED_VALUE for one of a kind that it
 * does not take. Both name row and column, and never the value.
 */
export async function stage(work: Workspace, columns: readonly BoundColumn[], rows: readonly unknown[]): Promise<void> {
  const { session } = work;
  const declared = columns.map(({ binder }, index) => `, v${index} ${binder.waits}`).join("");
  await session.run(`CREATE OR REPLACE TEMP TABLE memento_batch (i BIGINT${declared})`);
  await append(work, { table: "memento_batch", schema: "main", catalog: "temp" }, columns, rows, (counts, values) => [
    counts,
    ...values,
  ]);
}

/** True where rows need not wait: every column of the table is written, as what it is. */
export function isDirect({ target, written }: Workspace, columns: readonly BoundColumn[]): boolean {
  const isWhole = !target.generates && written.length + 1 === target.columns.length;
  return isWhole && columns.every(({ column, binder }) => binder.waits === column.type);
}

/** Puts rows into the target itself, numbered from `first` on; otherwise as `stage`. */
export async function appendDirectly(
  work: Workspace,
  columns: readonly BoundColumn[],
  rows: readonly unknown[],
  first: number,
): Promise<void> {
  const { session, target } = work;
  const places = target.columns.map(({ name }) => columns.findIndex(({ column }) => column.name === name));
  const place = { table: target.table, schema: target.schema, catalog: session.catalog };
  await append(
    work,
    place,
    columns,
    rows,
    (numbers, values) => places.map((at) => (at < 0 ? numbers : (values[at] ?? []))),
    first,
  );
}

/** Appends rows in chunks; `arrange` puts the counted numbers and the columns' values into the order of the table. */
async function append(
  { session, check, target }: Workspace,
  { table, schema, catalog }: { readonly table: string; readonly schema: string; readonly catalog: string },
  columns: readonly BoundColumn[],
  rows: readonly unknown[],
  arrange: (numbers: DuckDBValue[], values: DuckDBValue[][]) => DuckDBValue[][],
  first = 0,
): Promise<void> {
  const { duckdb } = session;
  const keys = target.key.map(({ name }) => name);
  const reader = new RowReader(columns, keys, duckdb);
  const appender = await session.raw.createAppender(table, schema, catalog);
  const types = Array.from({ length: appender.columnCount }, (_, index) => appender.columnType(index));
  try {
    for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
      const end = Math.min(start + CHUNK_ROWS, rows.length);
      const numbers = Array.from({ length: end - start }, (_, index) => BigInt(first + start + index));
      const chunk = duckdb.DuckDBDataChunk.create(types);
      chunk.setColumns(arrange(numbers, reader.read(rows, start, end)));
      appender.appendDataChunk(chunk);
      if (end % TURN_ROWS !== 0) continue;
      await turn();
      check();
    }
    appender.flushSync();
  } catch (error) {
    // What closing would still flush was refused already.
    appender.clear();
    throw error;
  } finally {
    appender.closeSync();
  }
}

/** Reads rows into columns, and refuses what the table could not hold. */
class RowReader {
  readonly #columns: readonly BoundColumn[];
  readonly #keys: readonly string[];
  readonly #names: ReadonlySet<string>;
  readonly #duckdb: DuckdbModule;

  constructor(columns: readonly BoundColumn[], keys: readonly string[], duckdb: DuckdbModule) {
    this.#columns = columns;
    this.#duckdb = duckdb;
    this.#keys = keys;
    this.#names = new Set(columns.map(({ column }) => column.name));
  }

  read(rows: readonly unknown[], start: number, end: number): DuckDBValue[][] {
    for (let index = start; index < end; index++) this.#refuseUnknown(rows[index], index);
    return this.#columns.map((column) => this.#column(column, rows, start, end));
  }

  #column({ column, binder }: BoundColumn, rows: readonly unknown[], start: number, end: number): DuckDBValue[] {
    const { name, nullable } = column;
    const values: DuckDBValue[] = [];
    const isKey = this.#keys.includes(name);
    for (let index = start; index < end; index++) {
      const value = rowValue(rows[index] as Readonly<Record<string, unknown>>, name) ?? null;
      if (value === null) {
        if (isKey) throw refusedItem("RECORD_INVALID", rowField(index, name), "is NULL, and rows are found by it");
        if (!nullable) throw refusedItem("RECORD_INVALID", rowField(index, name), "is NULL, and may not be");
        values.push(null);
        continue;
      }
      try {
        const bound = binder.bind(value);
        values.push(bound instanceof Uint8Array ? this.#duckdb.blobValue(bound) : bound);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        throw refusedItem(error.code, rowField(index, name), error.message);
      }
    }
    return values;
  }

  #refuseUnknown(row: unknown, index: number): void {
    if (typeof row !== "object" || row === null || Array.isArray(row))
      throw refusedItem("RECORD_INVALID", `rows[${index}]`, "is not an object of columns");
    for (const name in row) {
      if (!this.#names.has(name) && Object.hasOwn(row, name))
        throw refusedItem("RECORD_INVALID", rowField(index, name), "is no column of the table");
    }
  }
}
