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

/** A table in a schema. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** Finds out which schema the table is in; null where there is no such table. */
export async function findTable(session: SinkSession, schema: string | null, table: string): Promise<TableName | null> {
  const name = schema === null ? quoteName(table) : `${quoteName(schema)}.${quoteName(table)}`;
  const row = await firstRow(
    session,
    `SELECT n.nspname AS schema FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(?)`,
    name,
  );
  return row === undefined ? null : { schema: String(row["schema"]), table };
}

/** What the `signature` of a table is, as a query. */
export function signatureQuery({ schema, table }: TableName): readonly [string, string, string] {
  const query = `SELECT c.oid || ':' || coalesce(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated, a.attidentity), ',' ORDER BY a.attnum), '') AS signature
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = ? AND c.relname = ? GROUP BY c.oid`;
  return [query, schema, table];
}

/** Reads what the table is. INVALID_ARGUMENT for one that rows cannot be found in. */
export async function readTable(session: SinkSession, name: TableName, options: SqlTableOptions): Promise<Target> {
  const { schema, table } = name;
  // Types are then named in full, whatever path a later connection searches.
  await session.run("SELECT set_config('search_path', 'pg_catalog', true)");
  const facts = (await firstRow(session, FACTS, schema, table)) ?? {};
  if (facts["relkind"] !== "r" && facts["relkind"] !== "p") throw unusable(table, "is not an ordinary table");
  const rows = await session.all(COLUMNS, schema, table);
  const columns = rows.map(columnOf);
  const indexes = (await session.all(INDEXES, schema, table)).map(indexOf);
  const key = chooseKey(table, columns, indexes, keyOf(options));
  const [query, ...values] = signatureQuery(name);
  const signature = await firstRow(session, query, ...values);
  const given = options.columns !== undefined && key.every((column) => Object.hasOwn(options.columns ?? {}, column));
  const hasDefault = key.some((column) => rows.some((row) => row["name"] === column && row["has_default"] === true));
  return {
    table,
    sql: `${quoteName(schema)}.${quoteName(table)}`,
    name: `${schema}.${table}`,
    columns,
    key,
    makesKey: hasDefault && options.key === undefined && options.mode === "append" && !given,
    outAndIn: indexes.length > 1 && facts["referenced"] !== true,
    hasTriggers: facts["triggers"] === true,
    signature: String(signature?.["signature"]),
  };
}

const OF_TABLE = "n.nspname = ? AND c.relname = ?";

const FACTS = `SELECT c.relkind,
    EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid = c.oid AND f.contype = 'f') AS referenced,
    EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS triggers
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${OF_TABLE}`;

/**
 * Of a domain, the type below it: an image may lack what the domain insists on. A type with a modifier has a function, called with `fitted_to`
 * behind the value, that makes a value fit as storing it does; a cast to `varchar(3)` would cut off what storing refuses.
 */
const COLUMNS = `SELECT a.attname AS name, b.typcategory AS category, b.typname AS type,
    format_type(b.oid, m.modifier) AS declared, format_type(b.oid, -1) AS cast,
    quote_ident(fs.nspname) || '.' || quote_ident(f.proname) AS fitted_by, m.modifier || CASE WHEN f.pronargs = 3 THEN ', false' ELSE '' END AS fitted_to,
    CASE WHEN a.attcollation <> 0 AND a.attcollation <> b.typcollation
      THEN (SELECT quote_ident(s.nspname) || '.' || quote_ident(l.collname) FROM pg_collation l
            JOIN pg_namespace s ON s.oid = l.collnamespace WHERE l.oid = a.attcollation) END AS collation,
    a.attidentity = 'a' AS always, a.attidentity <> '' OR a.atthasdef AS has_default,
    a.attidentity <> '' OR EXISTS (SELECT 1 FROM pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum
      AND pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%') AS drawn
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
  CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS modifier) AS m
  LEFT JOIN pg_cast k ON k.castsource = b.oid AND k.casttarget = b.oid AND m.modifier >= 0
  LEFT JOIN pg_proc f ON f.oid = k.castfunc LEFT JOIN pg_namespace fs ON fs.oid = f.pronamespace
  WHERE ${OF_TABLE} AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum`;

const INDEXES = `SELECT i.indisprimary AS is_primary,
    i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND i.indimmediate AND bool_and(a.attnotnull) AS is_whole,
    json_agg(a.attname ORDER BY k.place) AS columns
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
  WHERE ${OF_TABLE} AND i.indisunique AND k.place <= i.indnkeyatts GROUP BY i.indexrelid, i.indisprimary, i.indpred::text, i.indexprs::text,
    i.indpred IS NULL, i.indexprs IS NULL, i.indisvalid, i.indimmediate ORDER BY i.indisprimary DESC, i.indexrelid`;

function columnOf(row: Row): TargetColumn {
  const { collation: name } = row;
  const collation = typeof name === "string" ? ` COLLATE ${name}` : "";
  const { fitted_by: fit } = row;
  const fitted = (value: string): string =>
    typeof fit === "string" ? `${fit}(${value}, ${String(row["fitted_to"])})` : value;
  return {
    name: String(row["name"]),
    kind: kindOf(String(row["category"]), String(row["type"])),
    declared: `${String(row["declared"])}${collation}`,
    stored: (text) => `${fitted(`${text}::${String(row["cast"])}`)}${collation}`,
    checked: (value) => value,
    readOnly: row["always"] === true,
    isDrawn: row["drawn"] === true,
  };
}

function indexOf(row: Row): UniqueIndex {
  return {
    isPrimary: row["is_primary"] === true,
    isWhole: row["is_whole"] === true,
    columns: row["columns"] as readonly string[],
  };
}

function kindOf(category: string, type: string): ColumnKind {
  if (type === "bytea") return "bytes";
  if (type === "json" || type === "jsonb") return "json";
  if (["int2", "int4", "int8", "oid"].includes(type)) return "integer";
  const kinds: Readonly<Record<string, ColumnKind>> = { A: "array", B: "boolean", D: "time", N: "number", S: "text" };
  return kinds[category] ?? "other";
}
