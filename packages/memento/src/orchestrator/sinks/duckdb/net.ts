import { MementoError } from "../../../core/errors.ts";
import { wayBack } from "../way-back.ts";
import { type Claim, claimedRows, readClaims } from "./claims.ts";
import type { Workspace } from "./connection.ts";
import { type Entry, imageColumn, imageHash, imageTable, readEntries, rowHash, type Shape } from "./journal.ts";
import { matching, numbered } from "./names.ts";
import type { Stream } from "./stream.ts";

/** The rows between now and a mark: a temporary table. */
export const NET = "temp.memento_net";

/** What lies between now and a mark. */
export interface Net {
  /** The shapes of the images that rows may come back from. */
  readonly shapes: readonly Shape[];
  /** True: some rows were hashed by a DuckDB that hashes differently, and cannot be compared. */
  readonly foreignHash: boolean;
}

/** What going back to an image does to its row: 0 nothing, 1 take out, 2 put in, 3 replace. */
function operation(image: "base" | "first"): string {
  return `CASE WHEN ${image}.before IS NULL THEN CASE WHEN actual IS NULL THEN 0 ELSE 1 END
    WHEN actual IS NULL THEN 2 WHEN actual = ${image}.before AND ${image}.shape = latest.shape THEN 0 ELSE 3 END`;
}

/**
 * Finds every row that the positions after `mark` touched, and puts it into `memento_net` with what is known of it:
 *
 * - `first`: where its image at the mark is (`entry`, `shape`), and that image's hash (`before`; NULL: there was none).
 * - `base`: the same as `first`, but where somebody else wrote the row between two of our writes, the image that the later ones found.
 * - `latest`: the hash of what was last written (`after`; NULL: it was taken out), and `actual`, the hash of what stands there now.
 * - `alien`: what somebody else did to it; `op`: what going back does; `forced`: what it does with force.
 *
 * Changes no data. A row that was touched five times is there once.
 */
export async function findNet(
  work: Workspace,
  stream: Stream,
  mark: number,
  shapes: ReadonlyMap<number, Shape>,
): Promise<Net> {
  const { session, target } = work;
  const entries = wayBack(await readEntries(session, stream.id, mark + 1, stream.position), mark, stream.position);
  if (entries === null)
    throw new MementoError("DAMAGED", `${session.path}: the sink's journal lacks a position after ${mark}`);
  const claims = entries[0] === undefined ? [] : await readClaims(work, stream, entries[0].entry);
  const shapeOf = (id: number): Shape => {
    const shape = shapes.get(id);
    if (shape !== undefined) return shape;
    throw new MementoError("DAMAGED", `${session.path}: the sink's journal lacks the columns ${id}`);
  };
  const used = [...new Set(entries.map(({ shape }) => shape))].map(shapeOf);
  const keys = numbered("k", target.key.length);
  const names = target.key.map(({ name }) => name);
  const k = keys.join(", ");
  const actual = used.map((shape) => `WHEN ${shape.id} THEN ${rowHash(target, shape, "t")}`).join(" ");
  const isThere = `t."${(names[0] ?? "").replaceAll('"', '""')}" IS NOT NULL`;
  await session.run(
    `CREATE OR REPLACE TEMP TABLE memento_net AS
     WITH events AS (${eventsOf(work, entries, claims, shapeOf)}),
     counted AS (
       SELECT *, count(*) FILTER (WHERE NOT ours) OVER (PARTITION BY ${k} ORDER BY entry) AS claims,
         count(*) FILTER (WHERE NOT ours) OVER (PARTITION BY ${k}) AS claims_all FROM events
     ),
     followed AS (
       SELECT *, row_number() OVER steps AS nr, lag(after) OVER steps AS left_after, lag(shape) OVER steps AS left_shape,
         lag(claims) OVER steps AS left_claims
       FROM counted WHERE ours WINDOW steps AS (PARTITION BY ${k} ORDER BY entry)
     ),
     begun AS (
       -- Hashes of different columns cannot be compared; the row is then taken for what it was left as.
       SELECT *, nr = 1 OR claims > left_claims OR NOT (left_after IS NOT DISTINCT FROM before
         OR (left_after IS NOT NULL AND before IS NOT NULL AND left_shape <> shape)) AS begins FROM followed
     ),
     folded AS (
       SELECT ${k}, arg_min({entry: entry, shape: shape, before: before}, entry) AS first,
         arg_max({entry: entry, shape: shape, before: before}, entry) FILTER (WHERE begins) AS base,
         arg_max({after: after, shape: shape, claimed: claims_all > claims}, entry) AS latest
       FROM begun GROUP BY ${k}
     ),
     compared AS (
       SELECT m.*, CASE WHEN ${isThere} THEN CASE m.latest.shape ${actual === "" ? "WHEN 0 THEN NULL::UBIGINT" : actual} END END AS actual
       FROM folded AS m LEFT JOIN ${target.sql} AS t ON ${matching("t", names, "m", keys)}
     ),
     judged AS (
       SELECT *, actual IS NOT DISTINCT FROM latest.after AND (actual IS NULL OR NOT latest.claimed) AS as_written FROM compared
     )
     SELECT ${k}, first, base, latest, actual,
       CASE WHEN NOT as_written THEN
         CASE WHEN latest.after IS NULL THEN 'taken' WHEN actual IS NULL THEN 'deleted' ELSE 'changed' END
       WHEN first.entry <> base.entry AND first.before IS DISTINCT FROM base.before THEN
         CASE WHEN base.before IS NULL THEN 'deleted' ELSE 'changed' END
       END AS alien,
       CASE WHEN as_written THEN ${operation("base")} ELSE 0 END AS op, ${operation("first")} AS forced
     FROM judged`,
  );
  const foreignHash = used.some(({ hasher }) => hasher !== work.hasher);
  return { shapes: used, foreignHash };
}

/** Forgets the rows of the last `findNet`. */
export async function clearNet({ session }: Workspace): Promise<void> {
  await session.run(`DROP TABLE ${NET}`);
}

/** Every touch of a row, by us and by others: `entry, ours, shape, before, after, k0, k1, ...`. */
function eventsOf(
  work: Workspace,
  entries: readonly Entry[],
  claims: readonly Claim[],
  shapeOf: (id: number) => Shape,
): string {
  const { session, target } = work;
  const nothing = target.key.map(({ type }, index) => `NULL::${type} AS k${index}`).join(", ");
  const empty = `SELECT 0::BIGINT AS entry, true AS ours, 0 AS shape, NULL::UBIGINT AS before, NULL::UBIGINT AS after, ${nothing} WHERE false`;
  const parts = [empty];
  for (const [id, group] of Map.groupBy(entries, ({ shape }) => shape)) {
    const shape = shapeOf(id);
    const keys = target.key.map(({ name, type }, index) => {
      const column = imageColumn(shape, name);
      if (column !== null) return `CAST(r.${column} AS ${type}) AS k${index}`;
      throw new MementoError("DAMAGED", `${session.path}: the sink's journal lacks the key column ${name}`);
    });
    parts.push(
      `SELECT r.entry, true, ${id}, CASE WHEN r.existed THEN ${imageHash(shape, "r")} END, r.after, ${keys.join(", ")}
       FROM ${imageTable(session, shape)} AS r WHERE r.entry IN (${group.map(({ entry }) => entry).join(", ")})`,
    );
  }
  for (const group of Map.groupBy(claims, ({ shape, key }) => JSON.stringify([shape, key])).values()) {
    const shape = shapeOf(group[0]?.shape ?? 0);
    parts.push(
      `SELECT entry, false, ${shape.id}, NULL, NULL, COLUMNS(* EXCLUDE entry) FROM (${claimedRows(work, shape, group)})`,
    );
  }
  return parts.join(" UNION ALL ");
}
