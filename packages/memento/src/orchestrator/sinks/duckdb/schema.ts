import { MementoError } from "../../../core/errors.ts";
import { quoteName, quoteText } from "./names.ts";
import type { DuckdbSession } from "./session.ts";

/** The version of the tables below. */
const BOOKS_VERSION = 1;

/**
 * The sink's books: the schema `memento_sink` of the target database, so that they change in one transaction with the data.
 *
 * - `format`: the version of these tables, `place`, a random name that the database keeps wherever it is moved, and `commits`, which
 *   numbers the entries of all streams in their order.
 * - `streams`: one row for each timeline and sink name. `position` grows by one with each write and each revert; `epoch` is the
 *   highest one seen; positions before `oldest` were trimmed.
 * - `tokens`: which tokens were taken (`live`) or forgotten by a revert, and at what position; `records` is how many source records
 *   the write stands for, `result` what the revert did.
 * - `entries`: what each position did; its rows are those of `rows_<shape>` with its `entry` number. `back` is the position that a
 *   revert went to (NULL for a write); `complete` says that nothing of somebody else's was left in its way.
 * - `shapes`: the columns and types that rows were written with, and `hasher`, which tells apart versions of DuckDB that hash
 *   differently. Each has a table `rows_<id>`: the image of each row before the change (`existed` false: there was none), and the
 *   hash of the row after it (NULL: there is none).
 * - `numbers`: the next number for the rows of a table without a key.
 *
 * They have no indexes: one connection at a time changes them, and DuckDB scans them faster than it would keep indexes.
 */
const TABLES: Readonly<Record<string, string>> = {
  streams:
    "id BIGINT NOT NULL, timeline VARCHAR NOT NULL, sink VARCHAR NOT NULL, target VARCHAR NOT NULL, identity VARCHAR NOT NULL, epoch BIGINT NOT NULL, position BIGINT NOT NULL, oldest BIGINT NOT NULL",
  tokens:
    "stream BIGINT NOT NULL, token VARCHAR NOT NULL, position BIGINT NOT NULL, kind VARCHAR NOT NULL, live BOOLEAN NOT NULL, records BIGINT NOT NULL, result VARCHAR",
  entries:
    "entry BIGINT NOT NULL, stream BIGINT NOT NULL, position BIGINT NOT NULL, shape BIGINT NOT NULL, back BIGINT, complete BOOLEAN NOT NULL",
  shapes: "id BIGINT NOT NULL, target VARCHAR NOT NULL, columns VARCHAR NOT NULL, hasher VARCHAR NOT NULL",
  numbers: "target VARCHAR NOT NULL, next BIGINT NOT NULL",
  format: "version INTEGER NOT NULL, place VARCHAR NOT NULL, commits BIGINT NOT NULL",
};

/** True where the books are there. Throws FORMAT_UNKNOWN for books of a later version. */
export async function hasBooks(session: DuckdbSession): Promise<boolean> {
  const found = await session.get(
    "SELECT 1 FROM duckdb_tables() WHERE database_name = $1 AND schema_name = 'memento_sink' AND table_name = 'format'",
    [session.catalog],
  );
  if (found === null) return false;
  const format = await session.get(`SELECT version FROM ${session.books("format")}`);
  if (format?.["version"] === BOOKS_VERSION) return true;
  throw new MementoError(
    "FORMAT_UNKNOWN",
    `${session.path} holds a sink's books of version ${String(format?.["version"])}, and this release knows version ${BOOKS_VERSION}`,
  );
}

/** Makes the books where there are none; for a write transaction. */
export async function createBooks(session: DuckdbSession): Promise<void> {
  if (await hasBooks(session)) return;
  await session.run(`CREATE SCHEMA IF NOT EXISTS ${quoteName(session.catalog)}.memento_sink`);
  for (const [name, columns] of Object.entries(TABLES)) {
    await session.run(`CREATE TABLE ${session.books(name)} (${columns})`);
  }
  await session.run(`INSERT INTO ${session.books("format")} VALUES (${BOOKS_VERSION}, uuid()::VARCHAR, 0)`);
}

/** The database's own name; for a database with books. */
export async function readPlace(session: DuckdbSession): Promise<string> {
  return String((await session.get(`SELECT place FROM ${session.books("format")}`))?.["place"]);
}

/** Tells apart versions of DuckDB whose `hash` gives other values. */
export async function readHasher(session: DuckdbSession): Promise<string> {
  const sample = `hash(${quoteText("memento")}, 1::BIGINT, 1.5::DOUBLE, true, NULL, DATE '2001-02-03', [1, 2])`;
  return String((await session.get(`SELECT ${sample}::VARCHAR AS hasher`))?.["hasher"]);
}
