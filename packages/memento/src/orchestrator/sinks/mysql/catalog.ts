import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { Row } from "../../../store/sql/rows.ts";
import { type SqlTableOptions, keyOf } from "../sql/options.ts";
import { firstRow, type SinkSession } from "../sql/session.ts";
import {
  chooseKey,
  type ColumnKind,
  type Target,
  type TargetColumn,
  unusable,
  type UniqueIndex,
} from "../sql/target.ts";
import { quoteName } from "./dialect.ts";

const OF_TABLE = "table_schema = ? AND table_name = ?";

/** What a table is now; another one as soon as somebody alters it. */
export async function readSignature(session: SinkSession, database: string, table: string): Promise<string> {
  return sha256(await readDefinition(session, database, table));
}

async function readDefinition(session: SinkSession, database: string, table: string): Promise<string> {
  const [row] = await session.all(`SHOW CREATE TABLE ${quoteName(database)}.${quoteName(table)}`);
  return String(row?.["Create Table"] ?? row?.["Create View"]).replace(/ AUTO_INCREMENT=\d+/u, "");
}

/** Reads what the table is; null where there is none. INVALID_ARGUMENT for one that rows cannot be found in. */
export async function readTable(
  session: SinkSession,
  database: string,
  options: SqlTableOptions,
): Promise<Target | null> {
  const { table } = options;
  const facts = await firstRow(
    session,
    `SELECT table_type AS type, engine AS engine FROM information_schema.tables WHERE ${OF_TABLE}`,
    database,
    table,
  );
  if (facts === undefined) return null;
  if (facts["type"] !== "BASE TABLE") throw unusable(table, "is not an ordinary table");
  if (facts["engine"] !== "InnoDB")
    throw new MementoError(
      "ENGINE_UNSUITABLE",
      `The table ${table} is kept by ${String(facts["engine"])}: InnoDB has transactions`,
    );
  const rows = await session.all(COLUMNS, database, table);
  const definition = await readDefinition(session, database, table);
  const columns = rows
    .filter((row) => !/(?<!DEFAULT_)GENERATED/u.test(String(row["extra"])))
    .map((row) => columnOf(row, definition));
  const indexes = indexesOf(await session.all(INDEXES, database, table));
  const key = chooseKey(table, columns, indexes, keyOf(options));
  const referenced = await firstRow(
    session,
    `SELECT 1 AS found FROM information_schema.key_column_usage WHERE referenced_table_schema = ? AND referenced_table_name = ? LIMIT 1`,
    database,
    table,
  );
  const given = options.columns !== undefined && key.every((column) => Object.hasOwn(options.columns ?? {}, column));
  const isDrawn = key.some((name) => columns.some((column) => column.name === name && column.isDrawn));
  return {
    table,
    sql: `${quoteName(database)}.${quoteName(table)}`,
    name: `${database}.${table}`,
    columns,
    key,
    makesKey: isDrawn && key.length === 1 && options.key === undefined && options.mode === "append" && !given,
    outAndIn: indexes.length > 1 && referenced === undefined,
    // A trigger may not change the table that it was called for.
    hasTriggers: false,
    signature: sha256(definition),
  };
}

const COLUMNS = `SELECT column_name AS name, column_type AS declared, data_type AS type, character_set_name AS charset,
    collation_name AS collation, extra AS extra FROM information_schema.columns WHERE ${OF_TABLE} ORDER BY ordinal_position`;

const INDEXES = `SELECT index_name AS name, column_name AS column_name, sub_part AS part, nullable AS nullable
  FROM information_schema.statistics WHERE ${OF_TABLE} AND non_unique = 0 ORDER BY index_name = 'PRIMARY' DESC, index_name, seq_in_index`;

function indexesOf(rows: readonly Row[]): readonly UniqueIndex[] {
  const names = [...new Set(rows.map((row) => String(row["name"])))];
  return names.map((name) => {
    const parts = rows.filter((row) => row["name"] === name);
    return {
      isPrimary: name === "PRIMARY",
      isWhole: parts.every((row) => row["part"] === null && row["nullable"] !== "YES" && row["column_name"] !== null),
      columns: parts.map((row) => String(row["column_name"])),
    };
  });
}

function columnOf(row: Row, definition: string): TargetColumn {
  const type = String(row["type"]).toLowerCase();
  const { charset, collation } = row;
  const collated =
    typeof charset === "string" && typeof collation === "string"
      ? ` CHARACTER SET ${charset} COLLATE ${collation}`
      : "";
  const [name, declared] = [String(row["name"]), String(row["declared"])];
  // MariaDB's JSON is text that is checked.
  const isJson = type === "json" || definition.toLowerCase().includes(`json_valid(${quoteName(name).toLowerCase()})`);
  return {
    name,
    kind: isJson ? "json" : kindOf(type, declared),
    // Left to itself, a first TIMESTAMP would not take NULL.
    declared: `${declared}${collated} NULL`,
    stored: (text) => text,
    checked: checkedAs(type),
    readOnly: false,
    isDrawn: /auto_increment/u.test(String(row["extra"])),
  };
}

/** What of a value goes into its row's check: never so long that the server could not put it beside the others. */
function checkedAs(type: string): TargetColumn["checked"] {
  if (/text|blob|json|geometry|point|linestring|polygon/u.test(type)) return (value) => `SHA2(${value}, 256)`;
  // A FLOAT is printed with six digits, and has more.
  if (type === "float") return (value) => `CAST(${value} AS DOUBLE)`;
  if (/char|binary|enum|set|bit/u.test(type)) return (value) => `CAST(${value} AS BINARY)`;
  return (value) => value;
}

function kindOf(type: string, declared: string): ColumnKind {
  if (declared.toLowerCase().startsWith("tinyint(1)")) return "boolean";
  if (/int$|^year$/u.test(type)) return "integer";
  if (/^(?:decimal|float|double|numeric)$/u.test(type)) return "number";
  if (/blob|binary|bit/u.test(type)) return "bytes";
  if (/^(?:date|time)/u.test(type)) return "time";
  return /char|text|enum|set/u.test(type) ? "text" : "other";
}
