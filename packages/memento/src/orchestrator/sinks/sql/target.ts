import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";

/** What kind of values a column takes. */
export type ColumnKind = "boolean" | "integer" | "number" | "text" | "bytes" | "json" | "time" | "array" | "other";

/** A column of the target table that holds data of its own. */
export interface TargetColumn {
  readonly name: string;
  readonly kind: ColumnKind;
  /** How a column of the sink's own tables is declared that holds the same values. */
  readonly declared: string;
  /** What a value's text is turned into before it is stored, so that it is what will be stored; for engines that want that. */
  readonly stored: (text: string) => string;
  /** What the check of a row takes of it, where `value` stands for the column. */
  readonly checked: (value: string) => string;
  /** True: the server alone gives it a value, and an UPDATE may not. */
  readonly readOnly: boolean;
  /** True: the server draws a number for a row that is added; rows bring one only where the options name the column. */
  readonly isDrawn: boolean;
}

/** The target table as it stands. */
export interface Target {
  /** As the user named it. */
  readonly table: string;
  /** As SQL writes it. */
  readonly sql: string;
  /** Its full name in the database: what the sink's books know it by. */
  readonly name: string;
  /** Generated columns are left out. */
  readonly columns: readonly TargetColumn[];
  /** The columns by which a row is found again. */
  readonly key: readonly string[];
  /** True: the server makes the key of a row that is added. */
  readonly makesKey: boolean;
  /** True: the table has a unique index beside the key, and no foreign key points to it: rows go out before others come in. */
  readonly outAndIn: boolean;
  /** True: a trigger may change a row after it was stored. */
  readonly hasTriggers: boolean;
  /** Changes whenever the table's columns do. */
  readonly signature: string;
}

/** What an engine tells of a table's indexes. */
export interface UniqueIndex {
  readonly isPrimary: boolean;
  /** False: it does not cover all rows, takes NULL, or is on an expression. */
  readonly isWhole: boolean;
  readonly columns: readonly string[];
}

/** How a table's rows are found, or INVALID_ARGUMENT. `wanted` is the key that the options give. */
export function chooseKey(
  table: string,
  columns: readonly TargetColumn[],
  indexes: readonly UniqueIndex[],
  wanted: readonly string[] | null,
): readonly string[] {
  const missing = wanted?.find((name) => !columns.some((column) => column.name === name));
  if (missing !== undefined) throw unusable(table, `has no column ${missing} for its key`);
  const fits = (index: UniqueIndex): boolean =>
    index.isWhole &&
    (wanted === null
      ? index.isPrimary
      : index.columns.length === wanted.length && wanted.every((name) => index.columns.includes(name)));
  const found = indexes.find(fits);
  if (found !== undefined) return wanted ?? found.columns;
  const problem =
    wanted === null ? "has no primary key" : `has no unique index on ${wanted.join(", ")} alone, NOT NULL`;
  throw unusable(table, `${problem}: its rows could not be found again`);
}

/** INVALID_ARGUMENT about a table. */
export function unusable(table: string, problem: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The table ${table} ${problem}`, { details: { table } });
}

/** RECORD_INVALID about a row that is stored under another key than it was sent with, by which nobody would find it again. */
export function otherKey({ table, key }: Target): MementoError {
  const problem = `The table ${table} keeps the row under another ${key.join(", ")}: it could not be found again`;
  return new MementoError("RECORD_INVALID", problem, { details: { refused: true } });
}

/** The columns that name a row, as the sink's books know them. */
export function identityText({ key }: Target): string {
  return JSON.stringify(key);
}

/** What a list of columns is known by: another one as soon as a name or a type differs. */
export function shapeDigest({ name, columns }: Target): string {
  return sha256OfJson([name, columns.map((column) => [column.name, column.declared])]);
}

/** `flights[id=17]`, `flights[code="AA"]`; `values` are the key's, as texts. */
export function nameItem({ table, key, columns }: Target, values: readonly string[]): string {
  const parts = key.map((name, index) => {
    const kind = columns.find((column) => column.name === name)?.kind;
    const value = values[index] ?? "";
    if (kind === "integer" || kind === "number" || kind === "boolean") return `${name}=${value}`;
    return `${name}=${kind === "bytes" ? `x'${value.replace(/^\\x/u, "").toLowerCase()}'` : JSON.stringify(value)}`;
  });
  return `${table}[${parts.join(", ")}]`;
}
