import { MementoError } from "../../../core/errors.ts";
import { type Entry, imageColumns, imageTable, readBlock, readEntries, type Shape } from "./journal.ts";
import type { Stream } from "./stream.ts";
import { checkedColumns, itemColumns, matching, SLICE_ROWS, type Workspace } from "./workspace.ts";

/** What lies between now and a mark, row by row, in `temp.memento_net`. */
export interface Net {
  readonly shapes: ReadonlyMap<number, Shape>;
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
  work.database.raw.exec(NO_NET);
  const entries = readEntries(work.database, stream, mark + 1, stream.position);
  if (entries.length !== stream.position - mark) {
    throw new MementoError("DAMAGED", `${work.database.path}: the sink's journal lacks positions after ${mark}`);
  }
  for (const entry of entries) {
    if (entry.kind === "packed") await addPacked(work, stream, entry);
    else await addRows(work, entry, shapeOf(work, shapes, entry.shape));
  }
  const written = new Set(entries.map((entry) => entry.shape));
  const kept = new Set(entries.filter((entry) => entry.kind === "rows").map((entry) => entry.shape));
  const net = {
    shapes,
    written: [...written].map((id) => shapeOf(work, shapes, id)),
    kept: [...kept].map((id) => shapeOf(work, shapes, id)),
  };
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

function shapeOf(work: Workspace, shapes: ReadonlyMap<number, Shape>, id: number): Shape {
  const shape = shapes.get(id);
  if (shape !== undefined) return shape;
  throw new MementoError("DAMAGED", `${work.database.path}: the sink's journal lacks the columns ${id}`);
}

const UPDATE_AFTER = "DO UPDATE SET after = excluded.after, after_shape = excluded.after_shape";

async function addPacked(work: Workspace, stream: Stream, entry: Entry): Promise<void> {
  const { database, functions } = work;
  const add = database.prepare(
    `INSERT INTO temp.memento_net (n, after, after_shape)
     SELECT memento_item(i), memento_at(i), ? FROM temp.memento_numbers WHERE i < ?
     ON CONFLICT (n) ${UPDATE_AFTER}`,
  );
  for (let index = 0; ; index++) {
    const block = readBlock(database, stream, entry.position, index);
    if (block === null) return;
    functions.block = block;
    add.run(entry.shape, block.count);
    await work.pace();
  }
}

async function addRows(work: Workspace, entry: Entry, shape: Shape): Promise<void> {
  const items = itemColumns(work.target);
  const names = items.net.join(", ");
  const add = work.database.prepare(
    `INSERT INTO temp.memento_net (${names}, before_shape, before_row, after, after_shape)
     SELECT ${items.image(shape).join(", ")}, :shape, CASE existed WHEN 1 THEN id END, after, :shape
     FROM ${imageTable(shape)} WHERE id BETWEEN :from AND :to ORDER BY id
     ON CONFLICT (${names}) ${UPDATE_AFTER}`,
  );
  for (let from = entry.first; from <= entry.last; from += SLICE_ROWS) {
    add.run({ shape: shape.id, from, to: Math.min(from + SLICE_ROWS - 1, entry.last) });
    await work.pace();
  }
}

/** Fills in `actual` and `same`. */
function compareWithTable(work: Workspace, net: Net, from: bigint, to: bigint): void {
  const { database, target } = work;
  const items = itemColumns(target);
  for (const shape of net.written) {
    database
      .prepare(
        `UPDATE temp.memento_net AS m SET actual =
           (SELECT memento_check(${checkedColumns(target, shape)}) FROM ${target.sql} AS t
            WHERE ${matching("t", items.target, "m", items.net)})
         WHERE m.n BETWEEN ? AND ? AND m.after_shape = ?`,
      )
      .run(from, to, shape.id);
  }
  for (const shape of net.kept) {
    database
      .prepare(
        `UPDATE temp.memento_net AS m SET same =
           (SELECT memento_check(${imageColumns(shape).join(", ")}) = m.after FROM ${imageTable(shape)} WHERE id = m.before_row)
         WHERE m.n BETWEEN ? AND ? AND m.before_row IS NOT NULL AND m.before_shape = ? AND m.after_shape = ?`,
      )
      .run(from, to, shape.id, shape.id);
  }
}
