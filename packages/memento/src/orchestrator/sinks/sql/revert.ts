import { MementoError } from "../../../core/errors.ts";
import { lacking } from "../lacking-columns.ts";
import { addEntry } from "./journal.ts";
import { checkedColumns, type Net, NET, type NetCounts } from "./net.ts";
import { firstRow } from "./session.ts";
import { imageColumns, imageTable, type Shape } from "./shapes.ts";
import type { Stream } from "./stream.ts";
import { keySql, matching, netKeys, prefixed, type Workspace } from "./workspace.ts";

/** What going back is told besides the net. */
export interface RevertOrder {
  readonly position: number;
  /** The position that is gone back to. */
  readonly back: number;
  readonly force: boolean;
}

/** The columns of the net that say where a row goes. */
interface Goal {
  readonly op: "op" | "forced";
  readonly image: "before" | "first";
}

/**
 * Takes the table back to what the net says stood there at the mark, and records at `position` the image of everything that it
 * takes away or overwrites, so that this can itself be reverted. Rows that others changed are left alone unless `force`.
 * NOT_REVERTIBLE when images have a column that the table has lost.
 */
export async function applyNet(work: Workspace, stream: Stream, net: Net, order: RevertOrder): Promise<NetCounts> {
  const { position, back, force } = order;
  const goal: Goal = force ? { op: "forced", image: "first" } : { op: "op", image: "before" };
  const counts = force ? net.forced : net.gentle;
  await refuseLostColumns(work, net, goal);
  await keepImages(work, stream, position, goal);
  await takeOut(work, goal);
  for (const kept of net.kept) {
    work.pace();
    if (work.target.outAndIn) await putIn(work, stream, kept, goal, { op: 3, position });
    else await replaceRows(work, stream, kept, goal);
    await putIn(work, stream, kept, goal, { op: 2, position });
  }
  if (counts.restored > 0) await keepChecks(work, stream, position);
  await addEntry(work, stream, { position, back, complete: force || net.foreign === 0 });
  return counts;
}

/** Sets the check of each row that `position` touched to that of the row as it stands now. */
export async function keepChecks(work: Workspace, stream: Stream, position: number, rows = ""): Promise<void> {
  const { session, dialect, target, shape } = work;
  await session.run(
    dialect.update({
      table: imageTable(dialect, shape),
      alias: "r",
      set: [["after", dialect.check(checkedColumns(work, shape), "t")]],
      joins: [{ from: `${target.sql} AS t`, on: matching("t", keySql(work), "r", imageColumns(shape, target.key)) }],
      where: `r.stream = ${stream.id} AND r.position = ${position}${rows}`,
    }),
  );
}

async function refuseLostColumns({ session, target }: Workspace, net: Net, { op, image }: Goal): Promise<void> {
  const now = new Set(target.columns.map(({ name }) => name));
  for (const shape of net.kept) {
    const lost = shape.columns.filter((name) => !now.has(name));
    if (lost.length === 0) continue;
    const needed = await firstRow(
      session,
      `SELECT 1 AS needed FROM ${NET} WHERE ${op} IN (2, 3) AND ${image}_shape = ${shape.id} LIMIT 1`,
    );
    if (needed === undefined) continue;
    throw new MementoError(
      "NOT_REVERTIBLE",
      `The table ${target.table} no longer has ${lost.join(", ")}, which rows to be put back have`,
      { hint: "Add the column again, or choose a younger target.", details: { table: target.table, columns: lost } },
    );
  }
}

/** Records the images of what stands there now, and that there is none where a row is put in. */
async function keepImages(work: Workspace, stream: Stream, position: number, { op }: Goal): Promise<void> {
  const { session, dialect, target, shape } = work;
  const images = imageTable(dialect, shape);
  const columns = shape.columns.map((name) => dialect.quote(name));
  await session.run(
    `INSERT INTO ${images} (stream, position, n, existed, ${imageColumns(shape).join(", ")})
      SELECT ${stream.id}, ${position}, m.id, 1, ${prefixed("t", columns)}
      FROM ${NET} AS m JOIN ${target.sql} AS t ON ${matching("t", keySql(work), "m", netKeys(work))} WHERE m.${op} IN (1, 3)`,
  );
  await session.run(
    `INSERT INTO ${images} (stream, position, n, existed, ${imageColumns(shape, target.key).join(", ")})
      SELECT ${stream.id}, ${position}, m.id, 0, ${prefixed("m", netKeys(work))} FROM ${NET} AS m WHERE m.${op} = 2`,
  );
}

/** Deletes what was not there at the mark, and what is put in again. */
async function takeOut(work: Workspace, { op }: Goal): Promise<void> {
  const { session, dialect, target } = work;
  const on = matching("t", keySql(work), "m", netKeys(work));
  const where = `m.${op} ${target.outAndIn ? "IN (1, 3)" : "= 1"}`;
  await session.run(dialect.deleteJoined(target.sql, `${NET} AS m`, on, where));
}

/** The images of one shape that are put back, joined to the net `m` as `r`. */
function imagesOf(stream: Stream, kept: Shape, { image }: Goal): string {
  return `r.stream = ${stream.id} AND r.position = m.${image}_position AND r.n = m.${image}_n AND m.${image}_shape = ${kept.id}`;
}

async function replaceRows(work: Workspace, stream: Stream, kept: Shape, goal: Goal): Promise<void> {
  const { session, dialect, target } = work;
  const set = kept.columns.flatMap((name, index) => {
    const column = target.columns.find((each) => each.name === name);
    if (column === undefined || column.readOnly || target.key.includes(name)) return [];
    return [[dialect.quote(name), `r.c${index}`] as const];
  });
  if (set.length === 0) return;
  await session.run(
    dialect.update({
      table: target.sql,
      alias: "t",
      set,
      joins: [
        { from: `${NET} AS m`, on: matching("t", keySql(work), "m", netKeys(work)) },
        { from: `${imageTable(dialect, kept)} AS r`, on: imagesOf(stream, kept, goal) },
      ],
      where: `m.${goal.op} = 3`,
    }),
  );
}

/** Adds rows; columns that the images lack of rows that were taken out are as they stood, in what `keepImages` has kept at `position`. */
async function putIn(
  work: Workspace,
  stream: Stream,
  kept: Shape,
  goal: Goal,
  { op, position }: { readonly op: 2 | 3; readonly position: number },
): Promise<void> {
  const { session, dialect, target, shape } = work;
  const names = target.columns.map(({ name }) => name);
  const [own, since] = [names.filter((name) => kept.columns.includes(name)), op === 2 ? [] : lacking(names, kept)];
  const columns = [...own, ...since].map((name) => dialect.quote(name)).join(", ");
  const stood = `JOIN ${imageTable(dialect, shape)} AS s ON s.stream = ${stream.id} AND s.position = ${position} AND s.n = m.id`;
  await session.run(
    `INSERT INTO ${target.sql} (${columns})${dialect.givingAll}
      SELECT ${[...imageColumns(kept, own).map((c) => `r.${c}`), ...imageColumns(shape, since).map((c) => `s.${c}`)].join(", ")}
      FROM ${NET} AS m JOIN ${imageTable(dialect, kept)} AS r ON ${imagesOf(stream, kept, goal)} ${since.length === 0 ? "" : stood}
      WHERE m.${goal.op} = ${op} ORDER BY m.id`,
  );
}
