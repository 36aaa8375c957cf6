import type { DatabaseSync } from "node:sqlite";

import { MementoError } from "../../../core/errors.ts";
import type { SinkDatabase } from "./database.ts";
import { listNames, quoteName } from "./names.ts";
import { readPrimaryKey, readTarget, type Target, type TargetColumn } from "./target.ts";

/** The types that a table can be made with. */
export type ColumnType = "TEXT" | "INTEGER" | "REAL" | "BLOB";

/** What `sqliteTable` takes. */
export interface SqliteTableOptions {
  /** The database file; made when it is not there and `columns` or `onOpen` say what it should hold. */
  readonly path: string;
  readonly table: string;
  /** Makes the table where there is none; rows then have these columns and no others. Without it, rows have the table's own columns. */
  readonly columns?: Readonly<Record<string, ColumnType>>;
  /** The columns by which a row is found again; a new table gets them as its PRIMARY KEY. Without it, rows are found by rowid. */
  readonly key?: string | readonly string[];
  /** `append` refuses a key that is there already; `upsert` replaces its row, and needs a key (the table's primary key by default). */
  readonly mode: KeyedModeName;
  /**
   * Called once for each connection, before anything else is read or written: for pragmas, functions, or a table of one's own. Its
   * statements wait up to 5 s for the engine's lock.
   */
  readonly onOpen?: (database: DatabaseSync) => void | Promise<void>;
  /** How long to wait for the engine's lock before LOCKED; default 30,000. */
  readonly busyTimeoutMs?: number;
}

type KeyedModeName = "append" | "upsert";

/** True where a database that is not there is made. */
export const mayCreate = ({ columns, onOpen }: SqliteTableOptions): boolean =>
  columns !== undefined || onOpen !== undefined;

/** Throws INVALID_ARGUMENT for options that cannot work, before anything is opened. */
export function checkOptions(options: SqliteTableOptions): void {
  const { path, table, columns, busyTimeoutMs = 0 } = options;
  // A database in memory ends with its connection: nothing in it could be resumed or reverted.
  if (path === "" || path === ":memory:") throw invalid("sqliteTable needs the path of a database file");
  if (table === "" || /^(?:sqlite_|memento_sink_)/i.test(table))
    throw invalid(`${JSON.stringify(table)} cannot be the sink's table`);
  if (columns !== undefined && Object.keys(columns).length === 0)
    throw invalid(`The table ${table} needs at least one column`);
  if (!(busyTimeoutMs >= 0)) throw invalid(`busyTimeoutMs is ${busyTimeoutMs} and must not be negative`);
  const key = keyOf(options) ?? [];
  const missing = columns === undefined ? undefined : key.find((name) => !Object.hasOwn(columns, name));
  if (missing !== undefined) throw invalid(`The key column ${missing} of ${table} is not among its columns`);
}

/** Reads the target table; null where there is none yet. */
export function findTarget(database: SinkDatabase, options: SqliteTableOptions): Target | null {
  const { table, mode } = options;
  const key = keyOf(options) ?? (mode === "upsert" ? readPrimaryKey(database, table) : null);
  return readTarget(database, table, key);
}

/** Makes the target table from `columns`; throws INVALID_ARGUMENT without them. */
export function createTarget(database: SinkDatabase, options: SqliteTableOptions): void {
  const { table, columns, mode } = options;
  if (columns === undefined)
    throw invalid(`${database.path} has no table ${table}, and there are no columns to make it from`);
  const key = keyOf(options);
  if (key === null && mode === "upsert") throw invalid(`The table ${table} needs a key to upsert by`);
  const primary = key === null ? "" : `, PRIMARY KEY (${listNames(key)})`;
  const declared = Object.entries(columns).map(([name, type]) => {
    // Only a lone INTEGER key is the rowid and can do without: SQLite lets any other key be NULL unless told.
    const required = key?.includes(name) === true && !(key.length === 1 && type === "INTEGER") ? " NOT NULL" : "";
    return `${quoteName(name)} ${type}${required}`;
  });
  database.raw.exec(`CREATE TABLE main.${quoteName(table)} (${declared.join(", ")}${primary})`);
}

/** The columns that rows are given in. Throws INVALID_ARGUMENT for one that the table does not have, and for a key without its columns. */
export function writtenColumns(target: Target, options: SqliteTableOptions): readonly TargetColumn[] {
  const { columns, mode } = options;
  if (columns === undefined) return target.columns;
  const alias = mode === "upsert" && target.alias !== null ? [target.alias] : [];
  const keys = target.identity.kind === "key" ? target.identity.columns.map(({ name }) => name) : alias;
  const missing = keys.find((name) => !Object.hasOwn(columns, name));
  if (missing !== undefined) throw invalid(`The key column ${missing} of ${target.table} is not among its columns`);
  return Object.keys(columns).map((name) => {
    const found = target.columns.find((column) => column.name === name);
    if (found === undefined) throw invalid(`The table ${target.table} has no column ${name}`);
    return found;
  });
}

function keyOf(options: SqliteTableOptions): readonly string[] | null {
  const { key } = options;
  if (key === undefined) return null;
  return typeof key === "string" ? [key] : key;
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
