import { MementoError } from "../../../core/errors.ts";
import { wayBack } from "../way-back.ts";
import { isClaim, markClaims, readClaims } from "./claims.ts";
import { type Entry, imageColumns, imageTable, readBlock, readEntries, type Shape } from "./journal.ts";
import type { Stream } from "./stream.ts";
import { checkedColumns, itemColumns, matching, SLICE_ROWS, type Workspace } from "./workspace.ts";

/** What lies between now and a mark, row by row, in `temp.memento_net`. */
export interface Net {
  /** The shapes that rows were last written with. */
  readonly written: readonly Shape[];
  /** The shapes that images at the mark have. */
  readonly kept: readonly Shape[];
}

const NO_NET = "DELETE FROM temp.memento_net";

/**
 * Finds every row that the positions after `mark` touched: its image at the mark, the check of what was last written there,
 * and what stands there now. A row that was touched five times is there once. Changes no data; on disk, so that memory
 * stays flat.
 */
export async function findNet(
  work: Workspace,
  stream: Stream,
  mark: number,
  shapes: ReadonlyMap<number, Shape>,
): Promise<Net> {
  const { database } = work;
  database.raw.exec(NO_NET);
  const entries = wayBack(readEntries(database, stream.id, mark + 1, stream.position), mark, stream.position);
  if (entries === null) {
    throw new MementoError("DAMAGED", `${database.path}: the sink's journal lacks a position after ${mark}`);
  }
  const claims = entries[0] === undefined ? [] : readClaims(work, stream, entries[0].commit);
  const shapeOf = (id: number): Shape => {
    const shape = shapes.get(id);
    if (shape !== undefined) return shape;
    throw new MementoError("DAMAGED", `${database.path}: the sink's journal lacks the columns ${id}`);
  };
  for (const entry of [...entries, ...claims].toSorted((a, b) => a.commit - b.commit)) {
    if (isClaim(entry)) await markClaims(work, entry, shapeOf(entry.shape));
    else if (entry.kind === "packed") await addPacked(work, entry);
    else await addRows(work, entry, shapeOf(entry.shape));
  }
  const written = new Set(entries.map((entry) => entry.shape));
  const kept = new Set(entries.filter((entry) => entry.kind === "rows").map((entry) => entry.shape));
  const net = { written: [...written].map(shapeOf), kept: [...kept].map(shapeOf) };
  await forEachSlice(work, (from, to) => compareWithTable(work, net, from, to));
  return net;
}

/** Forgets the rows of the last `findNet`. */
export function clearNet(work: Workspace): void {
  work.database.raw.exec(NO_NET);
}

/** Calls `handle` for ranges of `n` that hold at most 8,192 rows of the net each, in order. */
export async function forEachSlice(work: Workspace, handle: (from: bigint, to: bigint) => void): Promise<void> {
  const start = work.database.prepare("SELECT min(n) AS n FROM temp.memento_net");
  const end = work.database.prepare(
    `SELECT max(n) AS n FROM (SELECT n FROM temp.memento_net WHERE n >= ? ORDER BY n LIMIT ${SLICE_ROWS})`,
  );
  const next = work.database.prepare("SELECT min(n) AS n FROM temp.memento_net WHERE n > ?");
  let from = start.get()?.["n"] as bigint | null;
  while (from !== null) {
    const to = end.get(from)?.["n"] as bigint;
    handle(from, to);
    await work.pace();
    from = next.get(to)?.["n"] as bigint | null;
  }
}

/** Whether an entry goes on from where the one before had left the row: nobody else has been there in between. */
function updateNet(goesOn: string): string {
  const image = (name: string): string =>
    `before_${name} = CASE WHEN ${goesOn} THEN before_${name} ELSE excluded.before_${name} END`;
  return `DO UPDATE SET broken = CASE WHEN ${goesOn} THEN broken ELSE 1 END, ${image("shape")}, ${image("row")}, ${image("check")}, ${image("item")},
    after = excluded.after, after_shape = excluded.after_shape, claimed = 0`;
}

async function addPacked(work: Workspace, entry: Entry): Promise<void> {
  const { database, functions } = work;
  const add = database.prepare(
    `INSERT INTO temp.memento_net (n, after, after_shape)
     SELECT memento_item(i), memento_at(i), ? FROM temp.memento_numbers WHERE i < ?
     ON CONFLICT (n) ${updateNet("claimed = 0 AND after IS NULL")}`,
  );
  for (let index = 0; ; index++) {
    const block = readBlock(database, entry, index);
    if (block === null) return;
    functions.block = block;
    add.run(entry.shape, block.count);
    await work.pace();
  }
}

async function addRows(work: Workspace, entry: Entry, shape: Shape): Promise<void> {
  const items = itemColumns(work.target);
  const names = items.net.join(", ");
  const images = items.image(shape).map((image, index) => `${image} AS ${items.net[index]}`);
  // Checks over different columns cannot be compared; the row is then taken for what it was left as.
  const otherShape =
    "(after IS NOT NULL AND excluded.before_check IS NOT NULL AND after_shape <> excluded.before_shape)";
  const add = work.database.prepare(
    `WITH entry AS MATERIALIZED (
       SELECT ${images.join(", ")}, after, CASE existed WHEN 1 THEN id END AS row,
         CASE existed WHEN 1 THEN memento_check(${imageColumns(shape).join(", ")}) END AS image,
         ${work.target.hiddenRowid ? "item" : "NULL"} AS place
       FROM ${imageTable(shape)} WHERE id BETWEEN :from AND :to ORDER BY id
     )
     INSERT INTO temp.memento_net
       (${names}, first_shape, first_row, first_check, first_item, before_shape, before_row, before_check, before_item,
        after, after_shape)
     SELECT ${names}, :shape, row, image, place, :shape, row, image, place, after, :shape FROM entry WHERE true
     ON CONFLICT (${names}) ${updateNet(`claimed = 0 AND (after IS excluded.before_check OR ${otherShape})`)}`,
  );
  for (let from = entry.first; from <= entry.last; from += SLICE_ROWS) {
    add.run({ shape: shape.id, from, to: Math.min(from + SLICE_ROWS - 1, entry.last) });
    await work.pace();
  }
}

/** Fills in `actual` and `here`. */
function compareWithTable(work: Workspace, net: Net, from: bigint, to: bigint): void {
  const { database, target } = work;
  const items = itemColumns(target);
  const there = `FROM ${target.sql} AS t WHERE ${matching("t", items.target, "m", items.net)}`;
  const here = target.hiddenRowid ? `, here = (SELECT t.${target.rowid} ${there})` : "";
  for (const shape of net.written) {
    database
      .prepare(
        `UPDATE temp.memento_net AS m SET actual = (SELECT memento_check(${checkedColumns(target, shape)}) ${there})${here}
         WHERE m.n BETWEEN ? AND ? AND m.after_shape = ?`,
      )
      .run(from, to, shape.id);
  }
}
