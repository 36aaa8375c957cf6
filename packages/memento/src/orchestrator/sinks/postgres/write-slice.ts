import { numberOf } from "../../../store/sql/rows.ts";
import { mustRepeat } from "../../../store/sql/session.ts";
import type { Slice } from "../sql/engine.ts";
import { RowReader } from "../sql/row-reader.ts";
import { firstRow } from "../sql/session.ts";
import { imageColumn, imageColumns, imageTable } from "../sql/shapes.ts";
import { keySql, matching, prefixed, type Workspace } from "../sql/workspace.ts";
import { quoteName } from "./dialect.ts";
import { postgresText, quoteElement } from "./texts.ts";

/**
 * Writes a slice by one statement: the values of each column come as one array, and what the journal needs of a row is what the same statement
 * has just stored.
 */
export async function writePostgresSlice(work: Workspace, slice: Slice): Promise<number> {
  const values = columnArrays(work, slice);
  return slice.mode === "append" ? await append(work, slice, values) : await upsert(work, slice, values);
}

/** An array literal for each column. */
function columnArrays({ target, written }: Workspace, { rows, from, to, mode }: Slice): string[] {
  const keys = mode === "append" && target.makesKey ? [] : target.key;
  const reader = new RowReader<string | null>(written, keys, postgresText, null);
  const columns = written.map((): string[] => []);
  const take = (text: string | null, place: number): void =>
    void columns[place]?.push(text === null ? "NULL" : quoteElement(text));
  for (let index = from; index < to; index++) reader.read(rows, index, take);
  return columns.map((texts) => `{${texts.join(",")}}`);
}

/** `unnest($1::text[], ...) AS u(v0, v1, ...)`. */
function rowsOf({ written }: Workspace, more = ""): string {
  const arrays = written.map(() => "?::text[]").join(", ");
  return `unnest(${arrays})${more === "" ? "" : " WITH ORDINALITY"} AS u(${written.map((_, index) => `v${index}`).join(", ")}${more})`;
}

function castValues({ written }: Workspace): string {
  return written.map(({ cast }, index) => `u.v${index}::${cast}`).join(", ");
}

function writtenNames({ written }: Workspace): string {
  return written.map(({ name }) => quoteName(name)).join(", ");
}

async function append(work: Workspace, { stream, position, from }: Slice, values: readonly string[]): Promise<number> {
  const { session, dialect, target, shape } = work;
  const keys = keySql(work);
  const names = keys.map((_, index) => `k${index}`);
  return await session.run(
    `WITH added AS (
       INSERT INTO ${target.sql} AS t (${writtenNames(work)})${dialect.givingAll} SELECT ${castValues(work)} FROM ${rowsOf(work)}
       RETURNING ${keys.map((key, index) => `t.${key} AS k${index}`).join(", ")}, ${dialect.check(target.columns, "t")} AS stored
     )
     INSERT INTO ${imageTable(dialect, shape)} (stream, position, n, existed, after, ${imageColumns(shape, target.key).join(", ")})
     SELECT ${stream.id}, ${position}, ${from} + row_number() OVER (), 0, stored, ${names.join(", ")} FROM added`,
    ...values,
  );
}

/**
 * Of rows with the same key the last counts. The rows that are there are locked and their images taken first; where
 * somebody else adds one of the others meanwhile, it is left alone, and all is done again.
 */
async function upsert(work: Workspace, slice: Slice, values: readonly string[]): Promise<number> {
  const { session, dialect, target, shape, written } = work;
  const { stream, position, from } = slice;
  const keys = keySql(work);
  const others = written.filter(({ name }) => !target.key.includes(name));
  const set = (others.length === 0 ? written : others).map(({ name }) => quoteName(name));
  const columns = shape.columns.map((name) => quoteName(name));
  const places = target.key.map((name) => `v${written.findIndex((column) => column.name === name)}`);
  const casted = written.map(({ cast, name }, index) => `u.v${index}::${cast} AS ${quoteName(name)}`);
  const images = shape.columns.map((name) =>
    target.key.includes(name)
      ? `coalesce(old.${quoteName(name)}, stored.${quoteName(name)})`
      : `old.${quoteName(name)}`,
  );
  const distinct = `SELECT DISTINCT ON (${prefixed("c", keys)}) c.* FROM (SELECT ${casted.join(", ")}, u.row_place FROM ${rowsOf(work, ", row_place")}) AS c
       ORDER BY ${prefixed("c", keys)}, c.row_place DESC`;
  const row = await firstRow(
    session,
    `WITH batch AS MATERIALIZED (${distinct}),
     old AS MATERIALIZED (
       SELECT ${prefixed("t", columns)} FROM ${target.sql} AS t JOIN batch ON ${matching("t", keys, "batch", keys)} FOR UPDATE OF t
     ),
     stored AS (
       INSERT INTO ${target.sql} AS t (${writtenNames(work)})${dialect.givingAll}
       SELECT ${prefixed(
         "batch",
         written.map(({ name }) => quoteName(name)),
       )} FROM batch WHERE (SELECT count(*) FROM old) >= 0 ORDER BY row_place
       ON CONFLICT (${keys.join(", ")}) DO UPDATE SET ${set.map((name) => `${name} = excluded.${name}`).join(", ")}
         WHERE EXISTS (SELECT 1 FROM old WHERE ${matching("old", keys, "t", keys)})
       RETURNING ${prefixed("t", keys)}, ${dialect.check(target.columns, "t")} AS stored_check
     ),
     kept AS (
       INSERT INTO ${imageTable(dialect, shape)} (stream, position, n, existed, after, ${imageColumns(shape).join(", ")})
       SELECT ${stream.id}, ${position}, ${from} + row_number() OVER (), CASE WHEN old.${keys[0] ?? ""} IS NULL THEN 0 ELSE 1 END, stored.stored_check,
         ${images.join(", ")}
       FROM stored LEFT JOIN old ON ${matching("old", keys, "stored", keys)} RETURNING 1
     )
     SELECT (SELECT count(*) FROM batch) AS wanted, (SELECT count(*) FROM kept) AS kept`,
    ...values,
  );
  if (row !== undefined && numberOf(row, "kept") < numberOf(row, "wanted")) {
    const keyTypes = places.map(
      (place, index) => `u.${place}::${written[Number(place.slice(1))]?.cast ?? "text"} AS k${index}`,
    );
    await refuseOthers(work, slice, keyTypes.join(", "), values);
  }
  return slice.to - slice.from;
}

/** Rows that a trigger has dropped are nobody's; those that somebody else has just added make the work be done again. */
async function refuseOthers(
  work: Workspace,
  { stream, position }: Slice,
  keyValues: string,
  values: readonly string[],
): Promise<void> {
  const { session, dialect, target, shape } = work;
  const keys = keySql(work);
  const names = keys.map((_, index) => `k${index}`);
  const images = target.key.map((name) => imageColumn(shape, name));
  const row = await firstRow(
    session,
    `SELECT count(*) AS others FROM (SELECT ${keyValues} FROM ${rowsOf(work)}) AS b
      JOIN ${target.sql} AS t ON ${matching("t", keys, "b", names)}
      WHERE NOT EXISTS (SELECT 1 FROM ${imageTable(dialect, shape)} AS r
        WHERE r.stream = ${stream.id} AND r.position = ${position} AND ${matching("r", images, "b", names)})`,
    ...values,
  );
  if (numberOf(row ?? {}, "others") > 0) throw mustRepeat(`${target.name}: somebody else is adding the same rows`);
}
