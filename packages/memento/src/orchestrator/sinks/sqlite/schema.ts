import { MementoError } from "../../../core/errors.ts";
import type { SinkDatabase } from "./database.ts";

/** The version of the tables below, and of the row check whose results they hold. */
const JOURNAL_VERSION = 1;

/**
 * The sink's books, in the target database itself, so that they change in one transaction with the data:
 *
 * - `memento_sink_format`: the version of these tables, `place`, a random name that the database keeps wherever it is moved, and
 *   `commits`, which orders the positions of all streams.
 * - `memento_sink_streams`: one row for each timeline and sink name. `position` grows by one with each write and each
 *   revert; `epoch` is the highest one seen; positions before `oldest` were trimmed.
 * - `memento_sink_tokens`: which tokens were taken (`live` 1) or forgotten by a revert (`live` 0), and at what position;
 *   `records` is how many source records the write stands for.
 * - `memento_sink_entries`: what each position did; `kind` says where it is kept. `back` is the position that a revert went
 *   to (NULL for a write); `complete` says that nothing of somebody else's was left in its way.
 * - `memento_sink_blocks`: rows that were appended, packed (`kind` packed): rowids `first` and on, or those in `rowids`, and
 *   8 bytes of check for each in `checks`.
 * - `memento_sink_shapes`: the column lists that rows were written with; each has a table `memento_sink_rows_<id>` for
 *   `kind` rows: the image of each row before the change (`existed` 0: there was none), and the check of the row after
 *   it (NULL: there is none). An entry's rows are those from `first` to `last`.
 */
const TABLES = `
CREATE TABLE IF NOT EXISTS main.memento_sink_format (version INTEGER NOT NULL, place TEXT NOT NULL, commits INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS main.memento_sink_streams (
  id INTEGER PRIMARY KEY,
  timeline TEXT NOT NULL,
  sink TEXT NOT NULL,
  target TEXT NOT NULL,
  identity TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  position INTEGER NOT NULL,
  oldest INTEGER NOT NULL,
  UNIQUE (timeline, sink)
);
CREATE TABLE IF NOT EXISTS main.memento_sink_tokens (
  stream INTEGER NOT NULL,
  token TEXT NOT NULL,
  position INTEGER NOT NULL,
  kind TEXT NOT NULL,
  live INTEGER NOT NULL,
  records INTEGER NOT NULL,
  result TEXT,
  PRIMARY KEY (stream, token, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS main.memento_sink_tokens_by_position ON memento_sink_tokens (stream, position);
CREATE TABLE IF NOT EXISTS main.memento_sink_entries (
  stream INTEGER NOT NULL,
  position INTEGER NOT NULL,
  kind TEXT NOT NULL,
  shape INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  back INTEGER,
  complete INTEGER NOT NULL,
  commit_number INTEGER NOT NULL,
  PRIMARY KEY (stream, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS main.memento_sink_blocks (
  stream INTEGER NOT NULL,
  position INTEGER NOT NULL,
  block INTEGER NOT NULL,
  first INTEGER NOT NULL,
  count INTEGER NOT NULL,
  rowids BLOB,
  checks BLOB NOT NULL,
  PRIMARY KEY (stream, position, block)
);
CREATE TABLE IF NOT EXISTS main.memento_sink_shapes (
  id INTEGER PRIMARY KEY,
  target TEXT NOT NULL,
  columns TEXT NOT NULL,
  UNIQUE (target, columns)
);
`;

/** True where the books are there. Throws FORMAT_UNKNOWN for books of a later version. */
export function hasBooks(database: SinkDatabase): boolean {
  const found = database.prepare("SELECT 1 FROM main.sqlite_schema WHERE name = 'memento_sink_format'").get();
  if (found === undefined) return false;
  const version = database.prepare("SELECT version FROM main.memento_sink_format").get()?.["version"];
  if (version === BigInt(JOURNAL_VERSION)) return true;
  throw new MementoError(
    "FORMAT_UNKNOWN",
    `${database.path} holds a sink's books of version ${String(version)}, and this release knows version ${JOURNAL_VERSION}`,
  );
}

/** Makes the books where there are none; for a write transaction. */
export function createBooks(database: SinkDatabase): void {
  if (hasBooks(database)) return;
  database.raw.exec(TABLES);
  database
    .prepare("INSERT INTO main.memento_sink_format (version, place, commits) VALUES (?, lower(hex(randomblob(12))), 0)")
    .run(JOURNAL_VERSION);
}

/** The database's own name; for a database with books. */
export function readPlace(database: SinkDatabase): string {
  return String(database.prepare("SELECT place FROM main.memento_sink_format").get()?.["place"]);
}
