import type { HistoryStep } from "../way-back.ts";
import type { SinkDatabase } from "./database.ts";
import { type Block, BLOCK_ROWS, newBlock } from "./functions.ts";
import { numbered, quoteName } from "./names.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";

/** A list of columns that rows were written with. */
export interface Shape {
  readonly id: number;
  readonly columns: readonly string[];
}

/** What one position did. */
export interface NewEntry extends HistoryStep {
  readonly kind: "packed" | "rows";
  readonly shape: number;
  /** Rows of the shape's table; nothing where `last` is before `first`. */
  readonly first: number;
  readonly last: number;
}

/** What one position did, and its place in the order of all streams' positions. */
export interface Entry extends NewEntry {
  readonly stream: number;
  readonly commit: number;
}

/** The table that keeps the images of a shape's rows, as SQL writes it. */
export function imageTable(shape: Shape): string {
  return `main.memento_sink_rows_${shape.id}`;
}

/** The columns of a shape's image table: `c0`, `c1`, and so on. */
export function imageColumns(shape: Shape): string[] {
  return numbered("c", shape.columns.length);
}

/** The column of the image table that holds the shape's column `name`. */
export function imageColumn(shape: Shape, name: string): string {
  return `c${shape.columns.indexOf(name)}`;
}

/** Every shape that rows of the target were written with, by its id. */
export function readShapes(database: SinkDatabase, target: Target): ReadonlyMap<number, Shape> {
  const rows = database.prepare("SELECT id, columns FROM main.memento_sink_shapes WHERE target = ?").all(target.table);
  const shapes = rows.map((row) => ({
    id: Number(row["id"]),
    columns: JSON.parse(String(row["columns"])) as string[],
  }));
  return new Map(shapes.map((shape) => [shape.id, shape]));
}

/** The shape that rows of the target have now; made with its table where it is new. */
export function currentShape(database: SinkDatabase, target: Target): Shape {
  const columns = target.columns.map(({ name }) => name);
  const text = JSON.stringify(columns);
  const row = database
    .prepare("SELECT id FROM main.memento_sink_shapes WHERE target = ? AND columns = ?")
    .get(target.table, text);
  if (row !== undefined) return { id: Number(row["id"]), columns };
  const made = database
    .prepare("INSERT INTO main.memento_sink_shapes (target, columns) VALUES (?, ?)")
    .run(target.table, text);
  const shape = { id: Number(made.lastInsertRowid), columns };
  const images = imageColumns(shape).map(quoteName).join(", ");
  database.raw.exec(
    `CREATE TABLE ${imageTable(shape)} (id INTEGER PRIMARY KEY, existed INTEGER NOT NULL, item INTEGER, after INTEGER, ${images})`,
  );
  return shape;
}

/** The last row of a shape's image table; what is added in this transaction comes after it, without gaps. */
export function lastImage(database: SinkDatabase, shape: Shape): number {
  return Number(database.prepare(`SELECT ifnull(max(id), 0) AS last FROM ${imageTable(shape)}`).get()?.["last"]);
}

/** Records what a position did. */
export function addEntry(database: SinkDatabase, stream: Stream, entry: NewEntry): void {
  const { position, kind, shape, first, last, back, complete } = entry;
  database.prepare("UPDATE main.memento_sink_format SET commits = commits + 1").run();
  database
    .prepare(
      `INSERT INTO main.memento_sink_entries (stream, position, kind, shape, first, last, back, complete, commit_number)
       SELECT ?, ?, ?, ?, ?, ?, ?, ?, commits FROM main.memento_sink_format`,
    )
    .run(stream.id, position, kind, shape, first, last, back, complete ? 1 : 0);
}

/** What the positions `from` to `to` of a stream did, both included, oldest first. */
export function readEntries(database: SinkDatabase, stream: number, from: number, to: number): Entry[] {
  const rows = database
    .prepare("SELECT * FROM main.memento_sink_entries WHERE stream = ? AND position BETWEEN ? AND ? ORDER BY position")
    .all(stream, from, to);
  return rows.map((row) => ({
    stream,
    position: Number(row["position"]),
    kind: row["kind"] === "packed" ? "packed" : "rows",
    shape: Number(row["shape"]),
    first: Number(row["first"]),
    last: Number(row["last"]),
    back: row["back"] === null ? null : Number(row["back"]),
    complete: row["complete"] === 1n,
    commit: Number(row["commit_number"]),
  }));
}

/** Cuts rowids, in rising order, into blocks whose checks are still to be put. */
export function packRowids(rowids: BigInt64Array): Block[] {
  const blocks: Block[] = [];
  for (let start = 0; start < rowids.length; start += BLOCK_ROWS) {
    const part = rowids.subarray(start, start + BLOCK_ROWS);
    const first = part[0] ?? 0n;
    const last = part[part.length - 1] ?? 0n;
    blocks.push(newBlock(first, part.length, last - first === BigInt(part.length - 1) ? null : viewOf(part)));
  }
  return blocks;
}

/** Little end first, whatever the machine's own order is. */
function viewOf(rowids: BigInt64Array): DataView {
  const view = new DataView(new ArrayBuffer(rowids.length * 8));
  for (const [index, rowid] of rowids.entries()) view.setBigInt64(index * 8, rowid, true);
  return view;
}

/** Keeps a packed block. */
export function addBlock(database: SinkDatabase, stream: Stream, position: number, index: number, block: Block): void {
  database
    .prepare(
      "INSERT INTO main.memento_sink_blocks (stream, position, block, first, count, rowids, checks) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .run(stream.id, position, index, block.first, block.count, block.rowids, block.checks);
}

/** The `index`-th packed block of an entry; null past the last. */
export function readBlock(database: SinkDatabase, { stream, position }: Entry, index: number): Block | null {
  const row = database
    .prepare(
      "SELECT first, count, rowids, checks FROM main.memento_sink_blocks WHERE stream = ? AND position = ? AND block = ?",
    )
    .get(stream, position, index);
  if (row === undefined) return null;
  const { first, count, rowids, checks } = row;
  return {
    first: first as bigint,
    count: Number(count),
    rowids: rowids instanceof Uint8Array ? new DataView(rowids.buffer, rowids.byteOffset, rowids.byteLength) : null,
    checks: viewOn(checks as Uint8Array),
  };
}

function viewOn(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Forgets what the positions up to `mark` did, which is needed only to go back to before it. */
export function trimEntries(
  database: SinkDatabase,
  stream: Stream,
  mark: number,
  shapes: ReadonlyMap<number, Shape>,
): void {
  for (const entry of readEntries(database, stream.id, 0, mark)) {
    const shape = shapes.get(entry.shape);
    if (entry.kind === "rows" && shape !== undefined && entry.first <= entry.last) {
      database.prepare(`DELETE FROM ${imageTable(shape)} WHERE id BETWEEN ? AND ?`).run(entry.first, entry.last);
    }
  }
  database.prepare("DELETE FROM main.memento_sink_blocks WHERE stream = ? AND position <= ?").run(stream.id, mark);
  database.prepare("DELETE FROM main.memento_sink_entries WHERE stream = ? AND position <= ?").run(stream.id, mark);
  database.prepare("UPDATE main.memento_sink_streams SET oldest = ? WHERE id = ?").run(mark, stream.id);
}
