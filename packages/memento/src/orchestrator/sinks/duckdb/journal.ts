import type { HistoryStep } from "../way-back.ts";
import type { Workspace } from "./connection.ts";
import { numbered, quoteName } from "./names.ts";
import type { AnswerRow, DuckdbSession } from "./session.ts";
import type { Stream } from "./stream.ts";
import type { Target, TargetColumn } from "./target.ts";

/** The columns and types that rows were written with. */
export interface Shape {
  readonly id: number;
  readonly columns: readonly Pick<TargetColumn, "name" | "type">[];
  readonly hasher: string;
}

/** What one position of a stream did. */
export interface Entry extends HistoryStep {
  /** Grows over all streams; names the entry's rows. */
  readonly entry: number;
  readonly shape: number;
}

/** The table that keeps the images of a shape's rows, as SQL writes it. */
export function imageTable(session: DuckdbSession, shape: Shape): string {
  return session.books(`rows_${shape.id}`);
}

/** The columns of a shape's image table: `c0`, `c1`, and so on. */
function imageColumns(shape: Shape): string[] {
  return numbered("c", shape.columns.length);
}

/** The column of the image table that holds the shape's column `name`; null where it has none. */
export function imageColumn(shape: Shape, name: string): string | null {
  const index = shape.columns.findIndex((column) => column.name === name);
  return index < 0 ? null : `c${index}`;
}

/** The hash of the row `alias` of the target as one of `shape`; of a column that is gone, NULL stands in its place. */
export function rowHash(target: Target, shape: Shape, alias: string): string {
  const values = shape.columns.map(({ name, type }) => {
    const now = target.columns.find((column) => column.name === name);
    if (now === undefined) return "NULL";
    const value = `${alias}.${quoteName(name)}`;
    return hashable(now.type === type ? value : `TRY_CAST(${value} AS ${type})`, type);
  });
  return `hash(${values.join(", ")})`;
}

/** The hash of the image `alias` of a shape's own table. */
export function imageHash(shape: Shape, alias: string): string {
  return `hash(${shape.columns.map(({ type }, index) => hashable(`${alias}.c${index}`, type)).join(", ")})`;
}

/** An ENUM is hashed as its text, for its number changes with the list. */
function hashable(value: string, type: string): string {
  return type.startsWith("ENUM(") ? `CAST(${value} AS VARCHAR)` : value;
}

/** Every shape that rows of the target were written with, by its id. */
export async function readShapes(session: DuckdbSession, target: Target): Promise<Map<number, Shape>> {
  const rows = await session.all(`SELECT id, columns, hasher FROM ${session.books("shapes")} WHERE target = $1`, [
    target.label,
  ]);
  return new Map(rows.map((row) => [Number(row["id"]), shapeOf(row)]));
}

function shapeOf({ id, columns, hasher }: AnswerRow): Shape {
  return { id: Number(id), columns: JSON.parse(String(columns)) as Shape["columns"], hasher: String(hasher) };
}

/** The shape that rows of the target have now; made with its table where it is new. */
export async function currentShape({ session, target, hasher, shape: known }: Workspace): Promise<Shape> {
  if (known.current !== null) return known.current;
  const columns = target.columns.map(({ name, type }) => ({ name, type }));
  const text = JSON.stringify(columns);
  const shapes = session.books("shapes");
  const found = await session.get(`SELECT id FROM ${shapes} WHERE target = $1 AND columns = $2 AND hasher = $3`, [
    target.label,
    text,
    hasher,
  ]);
  // One that is made here is not remembered: its transaction may yet be rolled back.
  if (found !== null) {
    known.current = { id: Number(found["id"]), columns, hasher };
    return known.current;
  }
  const made = await session.get(
    `INSERT INTO ${shapes} SELECT coalesce(max(id), 0) + 1, $1, $2, $3 FROM ${shapes} RETURNING id`,
    [target.label, text, hasher],
  );
  const shape = { id: Number(made?.["id"]), columns, hasher };
  const images = imageColumns(shape).map((name, index) => `, ${name} ${columns[index]?.type ?? ""}`);
  await session.run(
    `CREATE TABLE ${imageTable(session, shape)} (entry BIGINT NOT NULL, existed BOOLEAN NOT NULL, after UBIGINT${images.join("")})`,
  );
  return shape;
}

/** The number of the next entry. */
export async function nextEntry(session: DuckdbSession): Promise<number> {
  const row = await session.get(`UPDATE ${session.books("format")} SET commits = commits + 1 RETURNING commits`);
  return Number(row?.["commits"]);
}

/** Records what a position did. */
export async function addEntry(session: DuckdbSession, stream: Stream, entry: Entry): Promise<void> {
  await session.run(`INSERT INTO ${session.books("entries")} VALUES ($1, $2, $3, $4, $5, $6)`, [
    entry.entry,
    stream.id,
    entry.position,
    entry.shape,
    entry.back,
    entry.complete,
  ]);
}

/** What the positions `from` to `to` of a stream did, both included, oldest first. */
export async function readEntries(session: DuckdbSession, stream: number, from: number, to: number): Promise<Entry[]> {
  const rows = await session.all(
    `SELECT * FROM ${session.books("entries")} WHERE stream = $1 AND position BETWEEN $2 AND $3 ORDER BY position`,
    [stream, from, to],
  );
  return rows.map((row) => ({
    entry: Number(row["entry"]),
    position: Number(row["position"]),
    shape: Number(row["shape"]),
    back: row["back"] === null ? null : Number(row["back"]),
    complete: row["complete"] === true,
  }));
}

/** Forgets what the positions up to `mark` did, which is needed only to go back to before it. */
export async function trimEntries({ session, target }: Workspace, stream: Stream, mark: number): Promise<void> {
  const entries = session.books("entries");
  const old = `SELECT entry FROM ${entries} WHERE stream = ${stream.id} AND position <= ${mark}`;
  for (const shape of (await readShapes(session, target)).values()) {
    await session.run(`DELETE FROM ${imageTable(session, shape)} WHERE entry IN (${old})`);
  }
  await session.run(`DELETE FROM ${entries} WHERE stream = ${stream.id} AND position <= ${mark}`);
  await session.run(`UPDATE ${session.books("streams")} SET oldest = ${mark} WHERE id = ${stream.id}`);
}
