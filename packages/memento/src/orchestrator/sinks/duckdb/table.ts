import { MementoError } from "../../../core/errors.ts";
import { refuseDot } from "../sql/options.ts";
import type { DuckdbConnection, DuckdbInstance } from "./engine.ts";
import { listNames, quoteName } from "./names.ts";
import type { DuckdbSession } from "./session.ts";
import type { Target, TargetColumn, TargetName } from "./target.ts";

/** Where the table is: a file, or an instance of this process that has it open. */
export type DuckdbPlace =
  | {
      /** The database file; made when it is not there and `columns` or `onOpen` say what it should hold. */
      readonly path: string;
      /** DuckDB's own settings, for example `{ memory_limit: "2GB", threads: "2" }`; the same for all sinks into one file. */
      readonly settings?: Readonly<Record<string, string>>;
      /** How long the file stays open after its last use, in milliseconds, before others may read it; default 100. */
      readonly holdMs?: number;
    }
  | {
      /** An instance on a file that this process has open; it is borrowed, and neither closed nor configured. */
      readonly instance: DuckdbInstance;
    };

/** What `duckdbTable` takes besides the place. */
export interface DuckdbTableSettings {
  readonly table: string;
  /** The table's schema; default `main`. */
  readonly schema?: string;
  /** Makes the table where there is none, with these names and DuckDB types; rows then have these columns and no others. */
  readonly columns?: Readonly<Record<string, string>>;
  /** The columns by which a row is found again; a new table gets them as its PRIMARY KEY. Without it, an append numbers its rows. */
  readonly key?: string | readonly string[];
  /** `append` refuses a key that is there already; `upsert` replaces its row, and needs a key (the table's primary key by default). */
  readonly mode: "append" | "upsert";
  /** The BIGINT column in which the sink numbers the rows of a table without a key; default `memento_row`. */
  readonly rowColumn?: string;
  /** Called for each connection that the sink makes, with the database in use, before anything else: for settings, extensions, a table of one's own. */
  readonly onOpen?: (connection: DuckdbConnection) => void | Promise<void>;
  /** How long to wait for the file's lock before LOCKED; default 30,000. */
  readonly busyTimeoutMs?: number;
}

/** What `duckdbTable` takes. */
export type DuckdbTableOptions = DuckdbPlace & DuckdbTableSettings;

/** True where a database that is not there is made. */
export const mayCreate = ({ columns, onOpen }: DuckdbTableOptions): boolean =>
  columns !== undefined || onOpen !== undefined;

/** Throws INVALID_ARGUMENT for options that cannot work, before anything is opened. */
export function checkOptions(options: DuckdbTableOptions): void {
  const { table, schema = "main", columns, busyTimeoutMs = 0, mode, key } = options;
  if ("path" in options) {
    // A database in memory ends with its process: nothing in it could be resumed or reverted.
    if (options.path === "" || options.path.startsWith(":memory:") || options.path.includes("\0"))
      throw invalid("duckdbTable needs the path of a database file");
    if (!((options.holdMs ?? 0) >= 0)) throw invalid(`holdMs is ${options.holdMs} and must not be negative`);
  }
  if (table === "" || schema.toLowerCase() === "memento_sink")
    throw invalid(`${schema}.${table} cannot be the sink's table`);
  if (columns !== undefined && Object.keys(columns).length === 0)
    throw invalid(`The table ${table} needs at least one column`);
  if (!(busyTimeoutMs >= 0)) throw invalid(`busyTimeoutMs is ${busyTimeoutMs} and must not be negative`);
  if (key !== undefined && keyColumns(key).length === 0) throw invalid(`The key of ${table} has no columns`);
  if (columns === undefined) return;
  const missing = keyColumns(key ?? []).find((name) => !Object.hasOwn(columns, name));
  if (missing !== undefined) throw invalid(`The key column ${missing} of ${table} is not among its columns`);
  if (mode === "append" && key === undefined && Object.hasOwn(columns, rowColumnOf(options)))
    throw invalid(`The column ${rowColumnOf(options)} of ${table} is the sink's own`);
}

/** By what the target is looked for. */
export function targetName(options: DuckdbTableOptions): TargetName {
  const { schema = "main", table, key, mode } = options;
  const keys = key === undefined ? (mode === "upsert" ? "primary" : null) : keyColumns(key);
  return { schema, table, key: keys, rowColumn: rowColumnOf(options) };
}

/** Makes the target table from `columns`; throws INVALID_ARGUMENT without them. */
export async function createTarget(session: DuckdbSession, options: DuckdbTableOptions): Promise<void> {
  const { schema = "main", table, columns, key, mode } = options;
  if (columns === undefined)
    throw invalid(`${session.path} has no table ${schema}.${table}, and there are no columns to make it from`);
  refuseDot(table);
  if (key === undefined && mode === "upsert") throw invalid(`The table ${table} needs a key to upsert by`);
  const declared = Object.entries(columns).map(([name, type]) => `${quoteName(name)} ${type}`);
  if (key === undefined) declared.push(`${quoteName(rowColumnOf(options))} BIGINT`);
  else declared.push(`PRIMARY KEY (${listNames(keyColumns(key))})`);
  const place = `${quoteName(session.catalog)}.${quoteName(schema)}`;
  await session.run(`CREATE SCHEMA IF NOT EXISTS ${place}`);
  await session.run(`CREATE TABLE ${place}.${quoteName(table)} (${declared.join(", ")})`);
}

/** The columns that rows are given in. Throws INVALID_ARGUMENT for one that the table does not have, and for a key without its columns. */
export function writtenColumns(target: Target, { columns }: DuckdbTableOptions): readonly TargetColumn[] {
  if (columns === undefined) return target.columns.filter(({ name }) => name !== target.numbered);
  const missing = target.key.find(({ name }) => name !== target.numbered && !Object.hasOwn(columns, name));
  if (missing !== undefined)
    throw invalid(`The key column ${missing.name} of ${target.label} is not among its columns`);
  return Object.keys(columns).map((name) => {
    const found = target.columns.find((column) => column.name === name);
    if (found === undefined) throw invalid(`The table ${target.label} has no column ${name}`);
    return found;
  });
}

function keyColumns(key: string | readonly string[]): readonly string[] {
  return typeof key === "string" ? [key] : key;
}

function rowColumnOf({ rowColumn = "memento_row" }: DuckdbTableSettings): string {
  return rowColumn;
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
