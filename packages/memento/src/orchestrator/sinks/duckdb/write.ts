import type { Workspace } from "./connection.ts";
import { addEntry, currentShape, imageTable, nextEntry, rowHash } from "./journal.ts";
import { listNames, matching, numbered, quoteName } from "./names.ts";
import { appendDirectly, BATCH, type BoundColumn, boundColumns, castColumns, isDirect, stage } from "./staging.ts";
import type { Stream } from "./stream.ts";
import type { Target } from "./target.ts";

/** What a batch does with a key that is there already. */
export type WriteMode = "append" | "upsert";

/** The keys that a batch touches, and the image before of each. */
const BEFORE = "temp.memento_before";

/**
 * Writes rows and records at `position`, for each row that it touched, its image before (or that there was none) and the hash of the
 * row as it was stored. Works on the batch as a set.
 */
export async function writeRows(
  work: Workspace,
  stream: Stream,
  position: number,
  mode: WriteMode,
  rows: readonly unknown[],
): Promise<void> {
  const { session, target } = work;
  const columns = boundColumns(work.written);
  const direct = target.numbered !== null && isDirect(work, columns);
  if (!direct) await stage(work, columns, rows);
  const shape = await currentShape(work);
  const entry = await nextEntry(session);
  const images = imageTable(session, shape);
  if (target.numbered === null) {
    await keepBefore(work, columns);
    await store(work, columns, mode);
    const keys = target.key.map(({ name }) => name);
    const kept = shape.columns.map(({ name }) => `b.${quoteName(name)}`).join(", ");
    await session.run(
      `INSERT INTO ${images} SELECT ${entry}, b.existed, ${rowHash(target, shape, "t")}, ${kept}
       FROM ${BEFORE} AS b JOIN ${target.sql} AS t ON ${matching("t", keys, "b", keys)}`,
    );
  } else {
    const first = await takeNumbers(work, target.numbered, rows.length);
    if (direct) await appendDirectly(work, columns, rows, first);
    else await storeNumbered(work, columns, first);
    const number = quoteName(target.numbered);
    const kept = shape.columns.map(({ name }) => (name === target.numbered ? `t.${number}` : "NULL")).join(", ");
    await session.run(
      `INSERT INTO ${images} SELECT ${entry}, false, ${rowHash(target, shape, "t")}, ${kept}
       FROM ${target.sql} AS t WHERE t.${number} BETWEEN ${first} AND ${first + rows.length - 1}`,
    );
  }
  await addEntry(session, stream, { entry, position, shape: shape.id, back: null, complete: true });
}

/** Stores the batch as `writeRows` does, and records nothing: to find the row that is refused. */
export async function storeBatch(work: Workspace, mode: WriteMode): Promise<void> {
  const columns = boundColumns(work.written);
  if (work.target.numbered !== null) {
    await storeNumbered(work, columns, 0);
    return;
  }
  await keepBefore(work, columns);
  await store(work, columns, mode);
}

/** Numbers that no row of the table has had; they are never given twice. */
async function takeNumbers({ session, target }: Workspace, column: string, count: number): Promise<number> {
  const numbers = session.books("numbers");
  const row = await session.get(
    `UPDATE ${numbers} SET next = next + ${count} WHERE target = $1 RETURNING next - ${count} AS first`,
    [target.label],
  );
  if (row !== null) return Number(row["first"]);
  const made = await session.get(
    `INSERT INTO ${numbers} SELECT $1, coalesce(max(${quoteName(column)}), 0) + 1 + ${count} FROM ${target.sql}
     RETURNING next - ${count} AS first`,
    [target.label],
  );
  return Number(made?.["first"]);
}

async function storeNumbered(
  { session, target }: Workspace,
  columns: readonly BoundColumn[],
  first: number,
): Promise<void> {
  const names = [target.numbered ?? "", ...columns.map(({ column }) => column.name)];
  const values = [`i + ${first}`, ...castColumns(columns)];
  await session.run(`INSERT INTO ${target.sql} (${listNames(names)}) SELECT ${values.join(", ")} FROM ${BATCH}`);
}

/** The keys that the batch touches, each once, with the image of the row that is there. */
async function keepBefore({ session, target }: Workspace, columns: readonly BoundColumn[]): Promise<void> {
  const keys = target.key.map(({ name }) => name);
  const touched = numbered("k", keys.length);
  const images = target.columns.map(({ name }) => {
    const place = keys.indexOf(name);
    return place < 0 ? `t.${quoteName(name)}` : `coalesce(t.${quoteName(name)}, q.k${place}) AS ${quoteName(name)}`;
  });
  await session.run(
    `CREATE OR REPLACE TEMP TABLE memento_before AS
     WITH touched AS (SELECT ${keyCasts(target, columns).join(", ")}, max(i) AS latest FROM ${BATCH} GROUP BY ALL)
     SELECT q.latest, t.${quoteName(keys[0] ?? "")} IS NOT NULL AS existed, ${images.join(", ")}
     FROM touched AS q LEFT JOIN ${target.sql} AS t ON ${matching("t", keys, "q", touched)}`,
  );
}

/** The key of a batch's row as the target holds it: `CAST(v0 AS DATE) AS k0`. */
function keyCasts(target: Target, columns: readonly BoundColumn[]): string[] {
  const casts = castColumns(columns);
  return target.key.map(
    ({ name }, place) => `${casts[columns.findIndex(({ column }) => column.name === name)]} AS k${place}`,
  );
}

async function store(work: Workspace, columns: readonly BoundColumn[], mode: WriteMode): Promise<void> {
  const { session, target } = work;
  const names = columns.map(({ column }) => column.name);
  const casts = castColumns(columns, "m.");
  const insert = `INSERT INTO ${target.sql} (${listNames(names)}) SELECT ${casts.join(", ")} FROM ${BATCH} AS m`;
  if (mode === "append") {
    await session.run(insert);
    return;
  }
  const keys = target.key.map(({ name }) => name);
  const changed = names.flatMap((name, index) =>
    keys.includes(name) ? [] : [`${quoteName(name)} = ${casts[index] ?? ""}`],
  );
  // Of rows with one key, the last counts.
  if (changed.length > 0) {
    await session.run(
      `UPDATE ${target.sql} AS t SET ${changed.join(", ")} FROM ${BEFORE} AS b JOIN ${BATCH} AS m ON m.i = b.latest
       WHERE b.existed AND ${matching("t", keys, "b", keys)}`,
    );
  }
  await session.run(`${insert} JOIN ${BEFORE} AS b ON m.i = b.latest WHERE NOT b.existed`);
}
