import { MementoError } from "../../../core/errors.ts";
import { lacking } from "../lacking-columns.ts";
import { addEntry, currentShape, imageColumn, imageColumns, imageTable, lastImage, type Shape } from "./journal.ts";
import { listNames, numbered, quoteName } from "./names.ts";
import { forEachSlice, type Net } from "./net.ts";
import type { Stream } from "./stream.ts";
import type { ReplacedBy } from "./target.ts";
import { checkedColumns, itemColumns, matching, SLICE_ROWS, type Workspace } from "./workspace.ts";

/** What going back does to the rows of a net. */
export interface RevertCounts {
  readonly removed: number;
  readonly restored: number;
}

/** Counts what going back would do, or would do with `force`. */
export async function countNet(work: Workspace, force: boolean): Promise<RevertCounts> {
  const { op, image } = goalOf(force);
  // A row that only gets its rowid back does not count.
  const count = work.database.prepare(
    `SELECT count(*) FILTER (WHERE ${op} = 1) AS removed,
       count(*) FILTER (WHERE ${op} IN (2, 3) OR (${op} = 4 AND actual IS NOT ${image}_check)) AS restored
     FROM temp.memento_net WHERE n BETWEEN ? AND ?`,
  );
  let removed = 0;
  let restored = 0;
  await forEachSlice(work, (from, to) => {
    const row = count.get(from, to);
    removed += Number(row?.["removed"]);
    restored += Number(row?.["restored"]);
  });
  return { removed, restored };
}

/** The columns of the net that say where a row goes. */
interface Goal {
  readonly op: "op" | "forced";
  readonly image: "before" | "first";
}

function goalOf(force: boolean): Goal {
  return force ? { op: "forced", image: "first" } : { op: "op", image: "before" };
}

/** What going back is told besides the net. */
export interface RevertOrder {
  readonly position: number;
  /** The position that is gone back to. */
  readonly back: number;
  readonly force: boolean;
  /** False: rows of others are left in the way. */
  readonly complete: boolean;
}

/**
 * Takes the table back to what the net says stood there at the mark, and records at `position` the image of everything that it
 * takes away or overwrites, so that this can itself be reverted. Rows that others changed are left alone unless `force`. Throws
 * NOT_REVERTIBLE when images have a column that the table has lost; for a write transaction.
 */
export async function applyNet(work: Workspace, stream: Stream, net: Net, order: RevertOrder): Promise<RevertCounts> {
  const { position, back, force, complete } = order;
  refuseLostColumns(work, net, goalOf(force));
  const counts = await countNet(work, force);
  const shape = currentShape(work.database, work.target);
  const first = lastImage(work.database, shape) + 1;
  const steps = new RevertSteps(work, shape, goalOf(force));
  steps.begin(net.kept);
  await forEachSlice(work, (from, to) => steps.keep(from, to));
  await forEachSlice(work, (from, to) => steps.takeOut(from, to));
  for (const kept of net.kept) await forEachSlice(work, (from, to) => steps.putBack(kept, from, to));
  steps.end();
  const last = lastImage(work.database, shape);
  // Where rows were only taken out, their checks stay NULL.
  for (let from = first; net.kept.length > 0 && from <= last; from += SLICE_ROWS) {
    steps.keepChecks(from, Math.min(from + SLICE_ROWS - 1, last));
    await work.pace();
  }
  addEntry(work.database, stream, { position, kind: "rows", shape: shape.id, first, last, back, complete });
  return counts;
}

function refuseLostColumns(work: Workspace, net: Net, { op, image }: Goal): void {
  const { database, target } = work;
  const now = new Set(target.columns.map(({ name }) => name));
  for (const shape of net.kept) {
    const lost = shape.columns.filter((name) => !now.has(name));
    if (lost.length === 0) continue;
    const needed = database
      .prepare(`SELECT 1 FROM temp.memento_net WHERE ${op} IN (2, 3, 4) AND ${image}_shape = ? LIMIT 1`)
      .get(shape.id);
    if (needed === undefined) continue;
    throw new MementoError(
      "NOT_REVERTIBLE",
      `The table ${target.table} no longer has ${lost.join(", ")}, which rows to be put back have`,
      { hint: "Add the column again, or choose a younger target.", details: { table: target.table, columns: lost } },
    );
  }
}

/** Of the `op`s that replace a row, 3 and 4, those that take it out and put it in again. */
const BACKS: Readonly<Record<ReplacedBy, readonly number[]>> = { outAndIn: [3, 4], moving: [4], update: [] };

/** What stood in those columns of rows that are put in again: `n`, and `a0`, `a1`, and so on. */
const SINCE = "memento_since";

/** The steps of going back, each for a slice of the net. */
class RevertSteps {
  readonly #work: Workspace;
  readonly #shape: Shape;
  readonly #image: Goal["image"];
  readonly #onlyMoves: string;
  readonly #backs: readonly number[];
  /** Rows of the net with one of some `op`s, between two bound values of `n`. */
  readonly #chosen: (ops: readonly number[]) => string;
  /** Columns that some images lack. */
  #since: readonly string[] = [];

  constructor(work: Workspace, shape: Shape, { op, image }: Goal) {
    this.#work = work;
    this.#shape = shape;
    this.#image = image;
    this.#onlyMoves = `m.${op} = 4 AND m.actual IS m.${image}_check`;
    this.#backs = BACKS[work.target.replaces];
    this.#chosen = (ops) => `m.n BETWEEN ? AND ? AND m.${op} IN (${ops.join(", ")})`;
  }

  /** Makes room for what stands in columns that images of some shapes lack. */
  begin(shapes: readonly Shape[]): void {
    const names = this.#work.target.columns.map(({ name }) => name);
    this.#since = this.#backs.length === 0 ? [] : [...new Set(shapes.flatMap((shape) => lacking(names, shape)))];
    if (this.#since.length === 0) return;
    const columns = numbered("a", this.#since.length).join(", ");
    this.#work.database.raw.exec(`CREATE TEMP TABLE ${SINCE} (n INTEGER PRIMARY KEY, ${columns})`);
  }

  end(): void {
    if (this.#since.length > 0) this.#work.database.raw.exec(`DROP TABLE temp.${SINCE}`);
  }

  /** Records the images of what stands there now; a row that only gets its rowid back has lost nothing. */
  keep(from: bigint, to: bigint): void {
    const { target } = this.#work;
    const items = itemColumns(target);
    const columns = this.#shape.columns.map((name) => `t.${quoteName(name)}`).join(", ");
    this.#run(
      `INSERT INTO ${imageTable(this.#shape)} (existed, item, ${imageColumns(this.#shape).join(", ")})
       SELECT 1, ${target.rowid === null ? "NULL" : `t.${target.rowid}`}, ${columns}
       FROM temp.memento_net AS m CROSS JOIN ${target.sql} AS t ON ${matching("t", items.target, "m", items.net)}
       WHERE ${this.#chosen([1, 3, 4])} AND NOT (${this.#onlyMoves})`,
      from,
      to,
    );
    this.#run(
      `INSERT INTO ${imageTable(this.#shape)} (existed, ${items.image(this.#shape).join(", ")})
       SELECT 0, ${items.net.map((name) => `m.${name}`).join(", ")} FROM temp.memento_net AS m
       WHERE ${this.#chosen([2])}`,
      from,
      to,
    );
    if (this.#since.length === 0) return;
    this.#run(
      `INSERT INTO temp.${SINCE} SELECT m.n, ${listNames(this.#since, "t.")}
       FROM temp.memento_net AS m CROSS JOIN ${target.sql} AS t ON ${matching("t", items.target, "m", items.net)}
       WHERE ${this.#chosen(this.#backs)}`,
      from,
      to,
    );
  }

  /** Deletes what was not there at the mark. */
  takeOut(from: bigint, to: bigint): void {
    const items = itemColumns(this.#work.target);
    this.#run(
      `DELETE FROM ${this.#work.target.sql} WHERE ${inNet(items.target, items.net, this.#chosen([1, ...this.#backs]))}`,
      from,
      to,
    );
  }

  /** Puts back the images of one shape. */
  putBack(kept: Shape, from: bigint, to: bigint): void {
    const replaced = [3, 4].filter((op) => !this.#backs.includes(op));
    if (replaced.length > 0) this.#replace(kept, replaced, from, to);
    const since = lacking(this.#since, kept);
    const together = [{ ops: [2, ...this.#backs], since }];
    const apart = [
      { ops: [2], since: [] },
      { ops: this.#backs, since },
    ];
    this.#insert(kept, since.length === 0 ? together : apart, from, to);
  }

  /** The check of each row as it stands after all of it. */
  keepChecks(from: number, to: number): void {
    const { target } = this.#work;
    const items = itemColumns(target);
    this.#run(
      `UPDATE ${imageTable(this.#shape)} AS r SET after =
         (SELECT memento_check(${checkedColumns(target, this.#shape)}) FROM ${target.sql} AS t
          WHERE ${matching("t", items.target, "r", items.image(this.#shape))})
       WHERE r.id BETWEEN ? AND ?`,
      from,
      to,
    );
  }

  #replace(kept: Shape, ops: readonly number[], from: bigint, to: bigint): void {
    const { target } = this.#work;
    const items = itemColumns(target);
    const columns = kept.columns.filter((name) => name !== target.alias);
    if (columns.length === 0) return;
    const images = columns.map((name) => `r.${imageColumn(kept, name)}`).join(", ");
    this.#run(
      `UPDATE ${target.sql} AS t SET (${columns.map(quoteName).join(", ")}) =
         (SELECT ${images} FROM temp.memento_net AS o JOIN ${imageTable(kept)} AS r ON r.id = o.${this.#image}_row
          WHERE ${matching("t", items.target, "o", items.net)})
       WHERE ${inNet(items.target, items.net, `${this.#chosen(ops)} AND m.${this.#image}_shape = ${kept.id}`)}`,
      from,
      to,
    );
  }

  #insert(kept: Shape, groups: readonly Inserted[], from: bigint, to: bigint): void {
    const { target } = this.#work;
    const items = itemColumns(target);
    const gone = `NOT EXISTS (SELECT 1 FROM ${target.sql} AS t WHERE ${matching("t", items.target, "m", items.net)})`;
    const insert = (how: string, rowid: string | null, { ops, since }: Inserted, where: string): void => {
      const columns = [...(rowid === null ? [] : [rowid]), ...[...kept.columns, ...since].map(quoteName)];
      const images = [
        ...(rowid === null ? [] : ["r.item"]),
        ...kept.columns.map((name) => `r.${imageColumn(kept, name)}`),
        ...since.map((name) => `s.a${this.#since.indexOf(name)}`),
      ];
      this.#run(
        `INSERT OR ${how} INTO ${target.sql} (${columns.join(", ")}) SELECT ${images.join(", ")}
         FROM temp.memento_net AS m CROSS JOIN ${imageTable(kept)} AS r ON r.id = m.${this.#image}_row
         ${since.length === 0 ? "" : `CROSS JOIN temp.${SINCE} AS s ON s.n = m.n`}
         WHERE ${this.#chosen(ops)} AND m.${this.#image}_shape = ${kept.id}${where}`,
        from,
        to,
      );
    };
    // The rowid that the row had. Where another row has it by now, the key is what counts, and SQLite chooses a new one.
    if (target.rowid !== null && target.alias === null)
      for (const group of groups) insert("IGNORE", target.rowid, group, "");
    for (const group of groups) insert("ABORT", null, group, ` AND ${gone}`);
  }

  #run(sql: string, from: bigint | number, to: bigint | number): void {
    this.#work.database.prepare(sql).run(from, to);
  }
}

/** Rows that are put in: those with one of some `op`s, with the columns `since` as they stood. */
interface Inserted {
  readonly ops: readonly number[];
  readonly since: readonly string[];
}

/** `(a, b) IN (SELECT k0, k1 FROM temp.memento_net ...)`. */
function inNet(columns: readonly string[], net: readonly string[], where: string): string {
  const left = columns.length === 1 ? columns[0] : `(${columns.join(", ")})`;
  return `${left} IN (SELECT ${net.map((name) => `m.${name}`).join(", ")} FROM temp.memento_net AS m WHERE ${where})`;
}
