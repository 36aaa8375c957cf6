import { MementoError } from "../../../core/errors.ts";
import type { Workspace } from "./connection.ts";
import { addEntry, currentShape, imageColumn, imageTable, nextEntry, rowHash, type Shape } from "./journal.ts";
import { listNames, matching, numbered, quoteName } from "./names.ts";
import { type Net, NET } from "./net.ts";
import type { Stream } from "./stream.ts";

/** What going back does to the rows of a net. */
export interface RevertCounts {
  readonly removed: number;
  readonly restored: number;
}

/** The columns of the net that say where a row goes. */
interface Goal {
  readonly op: "op" | "forced";
  readonly image: "base" | "first";
}

function goalOf(force: boolean): Goal {
  return force ? { op: "forced", image: "first" } : { op: "op", image: "base" };
}

/** Counts what going back would do, or would do with `force`. */
export async function countNet({ session }: Workspace, force: boolean): Promise<RevertCounts> {
  const { op } = goalOf(force);
  const row = await session.get(
    `SELECT count(*) FILTER (WHERE ${op} = 1) AS removed, count(*) FILTER (WHERE ${op} IN (2, 3)) AS restored FROM ${NET}`,
  );
  return { removed: Number(row?.["removed"]), restored: Number(row?.["restored"]) };
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
  const { session, target } = work;
  const goal = goalOf(force);
  await refuseLostColumns(work, net, goal);
  const counts = await countNet(work, force);
  const shape = await currentShape(work);
  const entry = await nextEntry(session);
  const keys = target.key.map(({ name }) => name);
  await keepBefore(work, goal);
  const out = target.furtherUnique ? "1, 3" : "1";
  const ours = matching("t", keys, "m", numbered("k", keys.length));
  await session.run(`DELETE FROM ${target.sql} AS t USING ${NET} AS m WHERE ${ours} AND m.${goal.op} IN (${out})`);
  for (const kept of net.shapes) {
    if (target.furtherUnique) await putBack(work, kept, goal);
    else await replaceRows(work, kept, goal);
    await putIn(work, kept, goal);
  }
  const kept = shape.columns.map(({ name }) => `b.${quoteName(name)}`).join(", ");
  await session.run(
    `INSERT INTO ${imageTable(session, shape)}
     SELECT ${entry}, b.existed, CASE WHEN t.${quoteName(keys[0] ?? "")} IS NOT NULL THEN ${rowHash(target, shape, "t")} END, ${kept}
     FROM temp.memento_before AS b LEFT JOIN ${target.sql} AS t ON ${matching("t", keys, "b", keys)}`,
  );
  await session.run("DROP TABLE temp.memento_before");
  await addEntry(session, stream, { entry, position, shape: shape.id, back, complete });
  return counts;
}

/** The images of what stands there now, and the keys of what is put in. */
async function keepBefore({ session, target }: Workspace, { op }: Goal): Promise<void> {
  const keys = target.key.map(({ name }) => name);
  const k = numbered("k", keys.length);
  const images = target.columns.map(({ name }) => {
    const place = keys.indexOf(name);
    return place < 0 ? `t.${quoteName(name)}` : `m.k${place} AS ${quoteName(name)}`;
  });
  await session.run(
    `CREATE OR REPLACE TEMP TABLE memento_before AS
     SELECT m.${op} <> 2 AS existed, ${images.join(", ")} FROM ${NET} AS m
     LEFT JOIN ${target.sql} AS t ON ${matching("t", keys, "m", k)} WHERE m.${op} > 0`,
  );
}

/** The rows of the net with one `op` whose image has this shape, joined with the image. */
function imagesOf({ session, target }: Workspace, kept: Shape, { op, image }: Goal, which: 2 | 3): string {
  const keys = target.key.map(({ name, type }, index) => {
    return `CAST(r.${imageColumn(kept, name)} AS ${type}) = m.k${index}`;
  });
  return `${NET} AS m JOIN ${imageTable(session, kept)} AS r ON r.entry = m.${image}.entry AND ${keys.join(" AND ")}
    AND m.${op} = ${which} AND m.${image}.shape = ${kept.id}`;
}

async function replaceRows(work: Workspace, kept: Shape, goal: Goal): Promise<void> {
  const { session, target } = work;
  const keys = target.key.map(({ name }) => name);
  const set = restored(work, kept)
    .filter(({ name }) => !keys.includes(name))
    .map(({ name, image }) => `${quoteName(name)} = ${image}`);
  if (set.length === 0) return;
  const rows = imagesOf(work, kept, goal, 3);
  const ours = matching("t", keys, "m", numbered("k", keys.length));
  await session.run(`UPDATE ${target.sql} AS t SET ${set.join(", ")} FROM ${rows} WHERE ${ours}`);
}

/** Puts rows in again that were taken out; columns that their images lack are as they stood there, in what `keepBefore` has kept. */
async function putBack(work: Workspace, kept: Shape, goal: Goal): Promise<void> {
  const { target } = work;
  const keys = target.key.map(({ name }) => name);
  const since = target.columns.flatMap(({ name }) =>
    imageColumn(kept, name) === null ? [{ name, image: `b.${quoteName(name)}` }] : [],
  );
  const stood = `temp.memento_before AS b ON ${matching("b", keys, "m", numbered("k", keys.length))}`;
  const rows = imagesOf(work, kept, goal, 3);
  await insertRows(work, [...restored(work, kept), ...since], since.length === 0 ? rows : `${rows} JOIN ${stood}`);
}

async function putIn(work: Workspace, kept: Shape, goal: Goal): Promise<void> {
  await insertRows(work, restored(work, kept), imagesOf(work, kept, goal, 2));
}

async function insertRows({ session, target }: Workspace, columns: readonly ImageOf[], rows: string): Promise<void> {
  const images = columns.map(({ image }) => image).join(", ");
  await session.run(
    `INSERT INTO ${target.sql} (${listNames(columns.map(({ name }) => name))}) SELECT ${images} FROM ${rows}`,
  );
}

/** A column of the table, and where its value is. */
interface ImageOf {
  readonly name: string;
  readonly image: string;
}

/** The columns of a shape that the table still has, and where their images are, as the column's type of now. */
function restored({ target }: Workspace, kept: Shape): ImageOf[] {
  return target.columns.flatMap(({ name, type }) => {
    const image = imageColumn(kept, name);
    return image === null ? [] : [{ name, image: `CAST(r.${image} AS ${type})` }];
  });
}

async function refuseLostColumns({ session, target }: Workspace, net: Net, { op, image }: Goal): Promise<void> {
  for (const shape of net.shapes) {
    const lost = shape.columns.filter(({ name }) => !target.columns.some((column) => column.name === name));
    if (lost.length === 0) continue;
    const needed = await session.get(
      `SELECT 1 FROM ${NET} WHERE ${op} IN (2, 3) AND ${image}.shape = ${shape.id} LIMIT 1`,
    );
    if (needed === null) continue;
    const names = lost.map(({ name }) => name);
    throw new MementoError(
      "NOT_REVERTIBLE",
      `The table ${target.label} no longer has ${names.join(", ")}, which rows to be put back have`,
      {
        hint: "Add the column again, or choose a younger target.",
        details: { table: target.label, columns: names },
      },
    );
  }
}
