import { MementoError } from "../../../core/errors.ts";
import { listNames, quoteName } from "./names.ts";
import type { DuckdbSession } from "./session.ts";

/** A column of the target table that holds data of its own. */
export interface TargetColumn {
  readonly name: string;
  /** As DuckDB writes it, for example `DECIMAL(18,3)`. */
  readonly type: string;
  readonly nullable: boolean;
}

/** The target table as it stands. */
export interface Target {
  /** `main.flights`: which table is meant, in the books and for people. */
  readonly label: string;
  readonly table: string;
  readonly schema: string;
  /** The table as SQL writes it. */
  readonly sql: string;
  /** Generated columns are left out. */
  readonly columns: readonly TargetColumn[];
  /** True: it has generated columns too. */
  readonly generates: boolean;
  /** The columns by which a row is found again. */
  readonly key: readonly TargetColumn[];
  /** The column of `key` that the sink numbers rows in; null for a key that rows bring. */
  readonly numbered: string | null;
  /** True: a unique constraint beside the key. Rows that come back are then taken out before any is put in. */
  readonly furtherUnique: boolean;
}

/** What a target is looked for by. */
export interface TargetName {
  readonly schema: string;
  readonly table: string;
  /** `primary` for the table's own primary key; null for the column of numbers. */
  readonly key: readonly string[] | "primary" | null;
  readonly rowColumn: string;
}

/** The text that changes with the table's columns and constraints; null where there is no such table. */
export async function readDefinition(session: DuckdbSession, { schema, table }: TargetName): Promise<string | null> {
  const row = await session.get(
    "SELECT sql FROM duckdb_tables() WHERE database_name = $1 AND schema_name = $2 AND table_name = $3",
    [session.catalog, schema, table],
  );
  return row === null ? null : String(row["sql"]);
}

/** Reads what the table is. Throws INVALID_ARGUMENT for one whose rows cannot be found again. */
export async function readTarget(session: DuckdbSession, name: TargetName, definition: string): Promise<Target> {
  const { schema, table, rowColumn } = name;
  const sql = `${quoteName(session.catalog)}.${quoteName(schema)}.${quoteName(table)}`;
  const label = `${schema}.${table}`;
  const columns = await readColumns(session, name, sql, definition);
  const uniques = await readUniques(session, name);
  const wanted = name.key === "primary" ? uniques.find(({ primary }) => primary)?.columns : (name.key ?? [rowColumn]);
  if (wanted === undefined) throw unusable(label, "has no primary key, and no key is given");
  const key = wanted.map((one) => {
    const column = columns.find((other) => other.name === one);
    if (column !== undefined) return column;
    if (name.key !== null) throw unusable(label, `has no column ${one} for its key`);
    throw unusable(
      label,
      `has no column ${one}: DuckDB gives a row no lasting name, so a table without a key needs a column in which the sink numbers its rows`,
      `ALTER TABLE ${listNames([table])} ADD COLUMN ${listNames([one])} BIGINT, or give a key.`,
    );
  });
  const isKey = (unique: readonly string[]): boolean =>
    unique.length === wanted.length && unique.every((one) => wanted.includes(one));
  const numbered = name.key === null ? rowColumn : null;
  if (numbered !== null && key[0]?.type !== "BIGINT")
    throw unusable(label, `has a column ${rowColumn} of type ${key[0]?.type}, and rows are numbered in a BIGINT`);
  if (numbered === null && !uniques.some(({ columns: unique }) => isKey(unique)))
    throw unusable(label, `has no primary key or unique index on ${wanted.join(", ")}`);
  const furtherUnique = uniques.some(({ columns: unique }) => !isKey(unique));
  const generates = definition.includes("GENERATED ALWAYS AS");
  return { label, table, schema, sql, columns, generates, key, numbered, furtherUnique };
}

async function readColumns(
  session: DuckdbSession,
  { schema, table }: TargetName,
  sql: string,
  definition: string,
): Promise<TargetColumn[]> {
  const rows = await session.all(
    `SELECT column_name AS name, data_type AS type, is_nullable AS nullable, column_default AS preset FROM duckdb_columns()
     WHERE database_name = $1 AND schema_name = $2 AND table_name = $3 ORDER BY column_index`,
    [session.catalog, schema, table],
  );
  const mayGenerate = definition.includes("GENERATED ALWAYS AS");
  const columns: TargetColumn[] = [];
  for (const row of rows) {
    const name = String(row["name"]);
    if (mayGenerate && row["preset"] !== null && (await isGenerated(session, sql, name))) continue;
    columns.push({ name, type: String(row["type"]), nullable: row["nullable"] === true });
  }
  return columns;
}

/** DuckDB's catalog does not tell an expression from a default: its planner does. */
async function isGenerated(session: DuckdbSession, sql: string, column: string): Promise<boolean> {
  try {
    await session.raw.prepare(`INSERT INTO ${sql} (${quoteName(column)}) SELECT NULL WHERE false`);
    return false;
  } catch (error) {
    if (error instanceof Error && /generated column/i.test(error.message)) return true;
    throw error;
  }
}

interface Unique {
  readonly columns: readonly string[];
  readonly primary: boolean;
}

async function readUniques(session: DuckdbSession, { schema, table }: TargetName): Promise<Unique[]> {
  const which = [session.catalog, schema, table];
  const constraints = await session.all(
    `SELECT constraint_type AS kind, to_json(constraint_column_names)::VARCHAR AS columns FROM duckdb_constraints()
     WHERE database_name = $1 AND schema_name = $2 AND table_name = $3 AND constraint_type IN ('PRIMARY KEY', 'UNIQUE')`,
    which,
  );
  const indexes = await session.all(
    `SELECT expressions FROM duckdb_indexes()
     WHERE database_name = $1 AND schema_name = $2 AND table_name = $3 AND is_unique`,
    which,
  );
  return [
    ...constraints.map(({ kind, columns }) => ({
      columns: JSON.parse(String(columns)) as string[],
      primary: kind === "PRIMARY KEY",
    })),
    ...indexes.map(({ expressions }) => ({ columns: indexColumns(String(expressions)), primary: false })),
  ];
}

/** The columns of an index as its `expressions` list them: `[id, '"odd name"']`. */
function indexColumns(expressions: string): string[] {
  return expressions
    .slice(1, -1)
    .split(", ")
    .map((one) => one.replace(/^'(.*)'$/, "$1").replace(/^"(.*)"$/, "$1"));
}

function unusable(label: string, problem: string, hint?: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The table ${label} ${problem}`, {
    details: { table: label },
    ...(hint === undefined ? {} : { hint }),
  });
}
