import { mustRepeat } from "../../../store/sql/session.ts";
import { isRefused } from "../sql/attempts.ts";
import type { Slice } from "../sql/engine.ts";
import { RowReader } from "../sql/row-reader.ts";
import { firstRow } from "../sql/session.ts";
import { imageColumns, imageTable } from "../sql/shapes.ts";
import { otherKey } from "../sql/target.ts";
import { keySql, matching, netKeys, prefixed, type Workspace } from "../sql/workspace.ts";
import { quoteName } from "./dialect.ts";
import { postgresText, quoteElement } from "./texts.ts";

/** The server's code for a key that is there already. */
const UNIQUE_VIOLATION = "23505";

/** About the most characters of a statement's values: the client makes one text of them, and the server one message. */
const STATEMENT_CHARACTERS = 16_000_000;

/**
 * Writes a slice by one statement, or by several where its rows are large: the values of each column come as one array, and what the journal
 * needs of a row is what the same statement has just stored.
 */
export async function writePostgresSlice(work: Workspace, slice: Slice): Promise<number> {
  let written = 0;
  for (let { from } = slice; from < slice.to;) {
    const { values, end } = columnArrays(work, { ...slice, from });
    const part = { ...slice, from, to: end };
    written += slice.mode === "append" ? await append(work, part, values) : await upsert(work, part, values);
    from = end;
  }
  return written;
}

/** An array literal for each column, of as many rows as one statement takes. */
function columnArrays(
  { target, written }: Workspace,
  { rows, from, to, mode }: Slice,
): { values: string[]; end: number } {
  const keys = mode === "append" && target.makesKey ? [] : target.key;
  const reader = new RowReader<string | null>(written, keys, postgresText, null);
  const columns = written.map((): string[] => []);
  const sent = { rows: 0, characters: 0 };
  const take = (text: string | null, place: number): void => {
    sent.characters += text?.length ?? 0;
    columns[place]?.push(text === null ? "NULL" : quoteElement(text));
  };
  for (; from + sent.rows < to && sent.characters < STATEMENT_CHARACTERS; sent.rows++)
    reader.read(rows, from + sent.rows, take);
  return { values: columns.map((texts) => `{${texts.join(",")}}`), end: from + sent.rows };
}

/** `unnest($1::text[], ...) AS u(v0, v1, ...)`. */
function rowsOf({ written }: Workspace, more = ""): string {
  const arrays = written.map(() => "?::text[]").join(", ");
  return `unnest(${arrays})${more === "" ? "" : " WITH ORDINALITY"} AS u(${written.map((_, index) => `v${index}`).join(", ")}${more})`;
}

function storedValues({ written }: Workspace): string {
  return written.map(({ stored }, index) => stored(`u.v${index}`)).join(", ");
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
       INSERT INTO ${target.sql} AS t (${writtenNames(work)})${dialect.givingAll} SELECT ${storedValues(work)} FROM ${rowsOf(work)}
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
  const casted = written.map(({ stored, name }, index) => `${stored(`u.v${index}`)} AS ${quoteName(name)}`);
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
       FROM stored LEFT JOIN old ON ${matching("old", keys, "stored", keys)}
     )
     SELECT (SELECT count(*) FROM stored WHERE NOT EXISTS (SELECT 1 FROM batch WHERE ${matching("batch", keys, "stored", keys)})) AS moved,
       (SELECT coalesce(json_agg(row_place), '[]') FROM batch
         WHERE NOT EXISTS (SELECT 1 FROM stored WHERE ${matching("stored", keys, "batch", keys)})
           AND NOT EXISTS (SELECT 1 FROM old WHERE ${matching("old", keys, "batch", keys)})) AS unknown`,
    ...values,
  );
  if (Number(row?.["moved"]) > 0) throw otherKey(target);
  const unknown = row?.["unknown"] as readonly number[];
  if (unknown.length > 0) await refuseUnknown(work, unknown, values);
  return slice.to - slice.from;
}

/**
 * Of rows that were not there, and are not there now: those that somebody else has just added make the work be done again, those that are
 * stored under another key are refused, and those that a trigger has dropped are nobody's. Nothing tells the last two apart but adding them
 * once more.
 */
async function refuseUnknown(work: Workspace, places: readonly number[], values: readonly string[]): Promise<void> {
  const { session, dialect, target, written } = work;
  const keys = target.key.map((name) => written.findIndex((column) => column.name === name));
  const stored = keys.map((place, index) => `${written[place]?.stored(`u.v${place}`) ?? ""} AS k${index}`);
  const unknown = `FROM ${rowsOf(work, ", row_place")} WHERE row_place IN (${places.join(", ")})`;
  const others = await firstRow(
    session,
    `SELECT 1 AS other FROM (SELECT ${stored.join(", ")} ${unknown}) AS b JOIN ${target.sql} AS t
      ON ${matching("t", keySql(work), "b", netKeys(work))} LIMIT 1`,
    ...values,
  );
  if (others !== undefined) throw mustRepeat(`${target.name}: somebody else is adding the same rows`);
  await session.run("SAVEPOINT memento_unknown");
  try {
    await session.run(
      `INSERT INTO ${target.sql} (${writtenNames(work)})${dialect.givingAll} SELECT ${storedValues(work)} ${unknown}`,
      ...values,
    );
  } catch (error) {
    throw isRefused(error) && error.details["sqlState"] === UNIQUE_VIOLATION ? otherKey(target) : error;
  }
  await session.run("ROLLBACK TO SAVEPOINT memento_unknown");
}
