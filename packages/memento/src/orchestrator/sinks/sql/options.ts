import { MementoError } from "../../../core/errors.ts";

/** What the sinks into SQL tables take alike. */
export interface SqlTableOptions {
  readonly table: string;
  /** Makes the table where there is none, each column with its SQL type; rows then have these columns and no others. Without it, rows have the table's own columns. */
  readonly columns?: Readonly<Record<string, string>>;
  /**
   * The columns by which a row is found again: the table has to have a primary key or unique index on just these, NOT NULL. Its
   * primary key by default; a table that is made without one gets a column `memento_row` of numbers that the server draws.
   */
  readonly key?: string | readonly string[];
  /** `append` refuses a key that is there already; `upsert` replaces its row. */
  readonly mode: "append" | "upsert";
  /** How long another transaction's lock is waited for, in milliseconds, before LOCKED; 30,000 by default. */
  readonly lockTimeoutMs?: number;
  /**
   * How long a transaction of the sink may stand still before the server ends it, in milliseconds: a process that was stopped in the
   * middle of a write keeps others out no longer. 60,000 by default.
   */
  readonly idleTimeoutMs?: number;
}

/** The key column of a table that is made without a key. */
const OWN_KEY = "memento_row";

const TYPE = /^[\w\s"'().,[\]]+$/u;

/** INVALID_ARGUMENT for options that cannot work, before anything is opened. */
export function checkOptions(options: SqlTableOptions): void {
  const { table, columns, lockTimeoutMs = 0, idleTimeoutMs = 1 } = options;
  if (table === "" || /^memento_sink_/iu.test(table))
    throw invalid(`${JSON.stringify(table)} cannot be the sink's table`);
  if (columns !== undefined && Object.keys(columns).length === 0)
    throw invalid(`The table ${table} needs at least one column`);
  for (const [name, type] of Object.entries(columns ?? {}))
    if (!TYPE.test(type)) throw invalid(`The type of the column ${name} is not one of SQL: ${JSON.stringify(type)}`);
  if (!(lockTimeoutMs >= 0)) throw invalid(`lockTimeoutMs is ${lockTimeoutMs} and must not be negative`);
  if (!(idleTimeoutMs > 0)) throw invalid(`idleTimeoutMs is ${idleTimeoutMs} and must be above 0`);
  const missing = columns === undefined ? undefined : keyOf(options)?.find((name) => !Object.hasOwn(columns, name));
  if (missing !== undefined) throw invalid(`The key column ${missing} of ${table} is not among its columns`);
}

/** The key that the options give; null where they give none. */
export function keyOf({ key }: SqlTableOptions): readonly string[] | null {
  if (key === undefined) return null;
  return typeof key === "string" ? [key] : key;
}

/** What stands between the parentheses of the CREATE TABLE that the options ask for; INVALID_ARGUMENT without columns. */
export function declaredTable(options: SqlTableOptions, quote: (name: string) => string, ownKey: string): string {
  const { table, columns, mode } = options;
  if (columns === undefined) throw invalid(`There is no table ${table}, and there are no columns to make it from`);
  refuseDot(table);
  const key = keyOf(options);
  if (key === null && mode === "upsert") throw invalid(`The table ${table} needs a key to upsert by`);
  const declared = Object.entries(columns).map(
    ([name, type]) => `${quote(name)} ${type}${key?.includes(name) === true ? " NOT NULL" : ""}`,
  );
  if (key === null) return [`${quote(OWN_KEY)} ${ownKey}`, ...declared].join(", ");
  return [...declared, `PRIMARY KEY (${key.map(quote).join(", ")})`].join(", ");
}

/** INVALID_ARGUMENT for a table that would be made with a dot in its name, where its schema or database was meant. */
export function refuseDot(table: string): void {
  if (!table.includes(".")) return;
  const problem = `There is no table whose name is ${JSON.stringify(table)}, dot included, and none is made: "table" is the name alone`;
  throw new MementoError("INVALID_ARGUMENT", problem, {
    hint: "Give its schema by the option of that name, and its database by the URL.",
    details: { table },
  });
}

/** INVALID_ARGUMENT with this message. */
export function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
