import { MementoError } from "../../../core/errors.ts";
import { throwRefused } from "./append.ts";
import { isRefusedData } from "./failures.ts";
import { BLOCK_ROWS } from "./functions.ts";
import { addEntry, currentShape, imageColumns, imageTable, lastImage, type Shape } from "./journal.ts";
import { listNames, numbered, quoteName } from "./names.ts";
import { RowBinder } from "./rows.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";
import { checkedColumns, itemColumns, matching, type Workspace } from "./workspace.ts";

/** How rows get into a table with a key: a key that is there already is refused, or its row replaced. */
export type KeyedMode = "append" | "upsert";

/**
 * Writes rows into a table whose rows are found by key, and records at `position` for each of them its image before (or
 * that there was none) and the check of the row as it was stored. Works on the batch as a set, 8,192 rows at a time. Returns the rows
 * that were written.
 */
export async function writeKeyed(
  work: Workspace,
  stream: Stream,
  position: number,
  mode: KeyedMode,
  rows: readonly unknown[],
): Promise<number> {
  const { database, target } = work;
  const shape = currentShape(database, target);
  const first = lastImage(database, shape) + 1;
  for (let start = 0; start < rows.length; start += BLOCK_ROWS) {
    if (start > 0) await work.pace();
    stage(work, rows, start, Math.min(start + BLOCK_ROWS, rows.length));
    const before = lastImage(database, shape);
    keepImages(work, shape);
    store(work, mode, start);
    keepChecks(work, shape, before + 1, lastImage(database, shape));
  }
  addEntry(database, stream, {
    position,
    kind: "rows",
    shape: shape.id,
    first,
    last: lastImage(database, shape),
    back: null,
    complete: true,
  });
  return rows.length;
}

/** Puts the rows from `start` up to `end` into `memento_batch`, and the keys that they touch into `memento_touched`. */
function stage(work: Workspace, rows: readonly unknown[], start: number, end: number): void {
  const { database, target, written } = work;
  const keys = keyNames(target);
  const binder = new RowBinder(written, keys);
  database.raw.exec("DELETE FROM temp.memento_batch; DELETE FROM temp.memento_touched");
  const insert = database.prepare(
    `INSERT INTO temp.memento_batch VALUES (${["?", ...written.map(() => "?")].join(", ")})`,
  );
  for (let index = start; index < end; index++) {
    binder.bind(rows[index], index);
    insert.run(index, ...binder.values);
  }
  const staged = keys.map((key) => `v${written.findIndex(({ name }) => name === key)}`).join(", ");
  const touched = itemColumns(target).net.join(", ");
  try {
    database
      .prepare(
        `INSERT OR IGNORE INTO temp.memento_touched (${touched}) SELECT ${staged} FROM temp.memento_batch ORDER BY i`,
      )
      .run();
  } catch (error) {
    // The one refusal there is: text in the place of a whole number, which is found row by row.
    if (!isRefusedData(error)) throw error;
    throw refusedBatch(work, error, () => storeOneByOne(work, "upsert", start));
  }
}

/** The image before, of every key that the batch touches. */
function keepImages(work: Workspace, shape: Shape): void {
  const { database, target } = work;
  const items = itemColumns(target);
  const keys = new Map(keyNames(target).map((name, index) => [name, `q.${items.net[index]}`]));
  const images = shape.columns.map((name) => {
    const key = keys.get(name);
    const column = `t.${quoteName(name)}`;
    return key === undefined ? column : `ifnull(${column}, ${key})`;
  });
  const item = target.identity.kind === "rowid" ? "q.n" : target.rowid === null ? "NULL" : `t.${target.rowid}`;
  database
    .prepare(
      `INSERT INTO ${imageTable(shape)} (existed, item, ${imageColumns(shape).join(", ")})
       SELECT t.${items.target[0]} IS NOT NULL, ${item}, ${images.join(", ")}
       FROM temp.memento_touched AS q LEFT JOIN ${target.sql} AS t ON ${matching("t", items.target, "q", items.net)}`,
    )
    .run();
}

function store(work: Workspace, mode: KeyedMode, start: number): void {
  try {
    work.database.prepare(storeStatement(work, mode, "true ORDER BY i")).run();
  } catch (error) {
    if (!isRefusedData(error)) throw error;
    throw refusedBatch(work, error, () => storeOneByOne(work, mode, start));
  }
}

/** A set is refused as a whole; the row is found by storing them one by one. All of it is rolled back afterwards. */
function refusedBatch(work: Workspace, error: unknown, findRow: () => void): unknown {
  findRow();
  return new MementoError("RECORD_INVALID", `A row of the batch was refused by ${work.target.table}`, { cause: error });
}

function storeOneByOne(work: Workspace, mode: KeyedMode, start: number): void {
  const statement = work.database.prepare(storeStatement(work, mode, "i = ?"));
  const count = Number(work.database.prepare("SELECT count(*) AS count FROM temp.memento_batch").get()?.["count"]);
  for (let index = start; index < start + count; index++) {
    try {
      statement.run(index);
    } catch (error) {
      throwRefused(error, index);
    }
  }
}

function storeStatement(work: Workspace, mode: KeyedMode, where: string): string {
  const { target, written } = work;
  const keys = keyNames(target);
  const names = written.map(({ name }) => name);
  const values = numbered("v", names.length).join(", ");
  const insert = `INSERT OR ABORT INTO ${target.sql} (${listNames(names)}) SELECT ${values} FROM temp.memento_batch WHERE ${where}`;
  if (mode === "append") return insert;
  const others = names.filter((name) => !keys.includes(name)).map(quoteName);
  const set = others.map((name) => `${name} = excluded.${name}`).join(", ");
  return `${insert} ON CONFLICT (${listNames(keys)}) DO ${others.length === 0 ? "NOTHING" : `UPDATE SET ${set}`}`;
}

/** The check of each touched row as it is stored now, triggers and affinities included. */
function keepChecks(work: Workspace, shape: Shape, first: number, last: number): void {
  const { database, target } = work;
  const items = itemColumns(target);
  database
    .prepare(
      `UPDATE ${imageTable(shape)} AS r SET after =
         (SELECT memento_check(${checkedColumns(target, shape)}) FROM ${target.sql} AS t
          WHERE ${matching("t", items.target, "r", items.image(shape))})
       WHERE r.id BETWEEN ? AND ?`,
    )
    .run(first, last);
}

function keyNames(target: Target): string[] {
  if (target.identity.kind === "key") return target.identity.columns.map(({ name }) => name);
  return target.alias === null ? [] : [target.alias];
}
