import { MementoError } from "../../../core/errors.ts";
import type { SinkDatabase } from "./database.ts";
import { quoteName } from "./names.ts";

/** A column of the target table that holds data of its own. */
export interface TargetColumn {
  readonly name: string;
  /** The type name that a column of the same affinity is declared with; empty for none. */
  readonly affinity: "TEXT" | "INTEGER" | "REAL" | "NUMERIC" | "";
  /** True where the number 5 would be kept as 5.0, or as the text "5.0". */
  readonly keepsFloats: boolean;
}

/** A column by which rows are found. */
export interface KeyColumn {
  readonly name: string;
  readonly affinity: TargetColumn["affinity"];
  readonly collation: string;
}

/** How a row is found again. */
export type RowIdentity =
  | {
      readonly kind: "rowid";
      /** How people are told: `rowid`, or the column that is one and the same as the rowid. */
      readonly label: string;
    }
  | { readonly kind: "key"; readonly columns: readonly KeyColumn[] };

/**
 * `outAndIn`: all are taken out before any is put in, so that values of a further UNIQUE index may change places. `moving`:
 * only those are whose rowid changes; `update`: none, because a foreign key of another table points here, whose ON DELETE would
 * then fire.
 */
export type ReplacedBy = "outAndIn" | "moving" | "update";

/** The target table as it stands. */
export interface Target {
  readonly table: string;
  /** The table's name as SQL writes it. */
  readonly sql: string;
  /** Generated columns are left out. */
  readonly columns: readonly TargetColumn[];
  /** The rowid as SQL writes it; null for a table without. */
  readonly rowid: string | null;
  /** The INTEGER PRIMARY KEY column, which is the rowid; null where there is none. */
  readonly alias: string | null;
  readonly identity: RowIdentity;
  /** True: beside the key, the rowid is kept as it was, where no column holds it. */
  readonly hiddenRowid: boolean;
  /** How rows whose earlier content comes back are replaced. */
  readonly replaces: ReplacedBy;
}

const ROWID_NAMES = ["rowid", "_rowid_", "oid"];

/** Reads what the table `table` is; null where there is none. Throws INVALID_ARGUMENT for one that rows cannot be found in. */
export function readTarget(database: SinkDatabase, table: string, key: readonly string[] | null): Target | null {
  const facts = database
    .prepare("SELECT type, wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE")
    .get(table);
  if (facts === undefined) return null;
  if (facts["type"] !== "table") throw unusable(table, `is a ${String(facts["type"])}, not an ordinary table`);
  const { columns, primary } = readColumns(database, table, facts["strict"] === 1n);
  const hasRowid = facts["wr"] === 0n;
  const alias = hasRowid ? findAlias(database, table, primary) : null;
  const names = new Set(columns.map(({ name }) => name.toLowerCase()));
  const spelling = alias === null ? ROWID_NAMES.find((name) => !names.has(name)) : quoteName(alias);
  const rowid = hasRowid ? (spelling ?? null) : null;
  const wanted = key ?? (hasRowid ? null : primary.map(({ name }) => name));
  const identity = wanted === null ? null : keyIdentity(database, table, columns, wanted, alias);
  if (identity === null && rowid === null)
    throw unusable(table, "hides its rowid behind columns of that name, and no key is given");
  return {
    table,
    sql: `main.${quoteName(table)}`,
    columns,
    rowid,
    alias,
    identity: identity ?? { kind: "rowid", label: alias ?? "rowid" },
    hiddenRowid: identity?.kind === "key" && rowid !== null && alias === null,
    replaces: howReplaced(database, table, identity),
  };
}

/** The columns of the table's primary key, in the key's order; none where it has none. */
export function readPrimaryKey(database: SinkDatabase, table: string): string[] {
  return readColumns(database, table, false).primary.map(({ name }) => name);
}

interface PrimaryColumn {
  readonly name: string;
  readonly type: string;
}

function readColumns(
  database: SinkDatabase,
  table: string,
  strict: boolean,
): { columns: TargetColumn[]; primary: PrimaryColumn[] } {
  const columns: TargetColumn[] = [];
  const primary: (PrimaryColumn & { place: number })[] = [];
  for (const row of database.prepare("SELECT name, type, pk, hidden FROM pragma_table_xinfo(?, 'main')").all(table)) {
    if (row["hidden"] !== 0n) continue;
    const name = String(row["name"]);
    const type = String(row["type"]).toUpperCase();
    const affinity = affinityOf(type, strict);
    columns.push({ name, affinity, keepsFloats: affinity === "TEXT" || affinity === "" });
    if (row["pk"] !== 0n) primary.push({ name, type, place: Number(row["pk"]) });
  }
  return { columns, primary: primary.toSorted((a, b) => a.place - b.place) };
}

/** SQLite's own rules, in their order. */
function affinityOf(type: string, strict: boolean): TargetColumn["affinity"] {
  if (strict && type === "ANY") return "";
  if (type.includes("INT")) return "INTEGER";
  if (/CHAR|CLOB|TEXT/.test(type)) return "TEXT";
  if (type === "" || type.includes("BLOB")) return "";
  return /REAL|FLOA|DOUB/.test(type) ? "REAL" : "NUMERIC";
}

/** An INTEGER PRIMARY KEY is the rowid unless it is declared DESC, which shows by an index of its own. */
function findAlias(database: SinkDatabase, table: string, primary: readonly PrimaryColumn[]): string | null {
  const [column] = primary;
  if (primary.length !== 1 || column?.type !== "INTEGER") return null;
  const own = database.prepare("SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'").get(table);
  return own === undefined ? column.name : null;
}

function keyIdentity(
  database: SinkDatabase,
  table: string,
  columns: readonly TargetColumn[],
  key: readonly string[],
  alias: string | null,
): RowIdentity {
  if (key.length === 0) throw unusable(table, "has no primary key, and no key is given");
  for (const name of key) {
    if (!columns.some((column) => column.name === name)) throw unusable(table, `has no column ${name} for its key`);
  }
  if (alias !== null && key.length === 1 && key[0] === alias) return { kind: "rowid", label: alias };
  const collations = findUniqueIndex(database, table, key);
  if (collations === null) throw unusable(table, `has no primary key or unique index on ${key.join(", ")}`);
  const found = key.map((name) => ({
    name,
    affinity: columns.find((column) => column.name === name)?.affinity ?? "",
    collation: collations.get(name) ?? "BINARY",
  }));
  return { kind: "key", columns: found };
}

/** The collations of the unique index on exactly the columns of `key`; null where there is none. */
function findUniqueIndex(
  database: SinkDatabase,
  table: string,
  key: readonly string[],
): ReadonlyMap<string, string> | null {
  for (const index of uniqueIndexes(database, table)) {
    if (index.size === key.length && key.every((name) => index.has(name))) return index;
  }
  return null;
}

/** Column and collation of each unique index that covers all rows; an index on an expression has a column of no name. */
function uniqueIndexes(database: SinkDatabase, table: string): Map<string, string>[] {
  const indexes = database
    .prepare(`SELECT name FROM pragma_index_list(?, 'main') WHERE "unique" = 1 AND partial = 0`)
    .all(table);
  return indexes.map(({ name }) => {
    const rows = database
      .prepare("SELECT name, coll FROM pragma_index_xinfo(?, 'main') WHERE key = 1")
      .all(String(name));
    return new Map(rows.map((row) => [String(row["name"] ?? ""), String(row["coll"])]));
  });
}

function howReplaced(database: SinkDatabase, table: string, identity: RowIdentity | null): ReplacedBy {
  if (isReferenced(database, table)) return "update";
  return hasFurtherUniqueIndex(database, table, identity) ? "outAndIn" : "moving";
}

function hasFurtherUniqueIndex(database: SinkDatabase, table: string, identity: RowIdentity | null): boolean {
  const rows = database
    .prepare(`SELECT count(*) AS found FROM pragma_index_list(?, 'main') WHERE "unique" = 1`)
    .get(table);
  return Number(rows?.["found"]) > (identity?.kind === "key" ? 1 : 0);
}

function isReferenced(database: SinkDatabase, table: string): boolean {
  const reference = database
    .prepare(
      `SELECT 1 FROM main.sqlite_schema AS s, pragma_foreign_key_list(s.name, 'main') AS f
       WHERE s.type = 'table' AND f."table" = ? COLLATE NOCASE LIMIT 1`,
    )
    .get(table);
  return reference !== undefined;
}

function unusable(table: string, problem: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The table ${table} ${problem}`, { details: { table } });
}
