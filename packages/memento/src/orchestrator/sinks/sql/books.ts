import { MementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import type { Random } from "../../../core/ports.ts";
import { numberOf } from "../../../store/sql/rows.ts";
import type { SinkDialect } from "./dialect.ts";
import { firstRow, type SinkSession } from "./session.ts";

/**
 * The version of the sink's books, and of the row checks that they hold. The tables, whose names begin with `memento_sink_`,
 * change in one transaction with the data:
 *
 * - `format`: this version, and `place`, a random name that the database keeps wherever it is moved.
 * - `streams`: one row for each timeline and sink name. `position` grows by one with each write and each revert; `epoch` is the
 *   highest one seen; positions before `oldest` were trimmed. Whoever writes holds this row's lock.
 * - `tokens`: which tokens were taken (`live` 1) or forgotten by a revert (`live` 0), and at what position; `records` is how many
 *   source records the write stands for.
 * - `entries`: what each position did. `commit_number` is drawn while the locks of all rows that it touched are held, so that it
 *   orders the positions of all streams wherever they touched the same row. `back` is the position that a revert went to.
 * - `shapes`: the column lists that rows were written with. Each has a table `rows_<id>`: for each row that a position touched
 *   its image before (`existed` 0: there was none) and the check of the row after it (NULL: there is none).
 */
const BOOKS_VERSION = 1;

/** Makes the books where there are none; the caller holds the lock under which they are made. */
export async function makeBooks(session: SinkSession, dialect: SinkDialect, random: Random): Promise<void> {
  for (const statement of dialect.tables) await session.run(statement);
  const format = dialect.books("format");
  await session.run(
    dialect.insertOrNothing(`${format} (one, version, place) VALUES (1, ${BOOKS_VERSION}, ?)`),
    randomText(random, 24),
  );
  const row = (await firstRow(session, `SELECT version FROM ${format}`)) ?? {};
  const version = numberOf(row, "version");
  if (version === BOOKS_VERSION) return;
  throw new MementoError(
    "FORMAT_UNKNOWN",
    `${format} says that the sink's books are of version ${version}, and this release knows version ${BOOKS_VERSION}`,
  );
}

/** The database's own name. */
export async function readPlace(session: SinkSession, dialect: SinkDialect): Promise<string> {
  const row = await firstRow(session, `SELECT place FROM ${dialect.books("format")}`);
  return String(row?.["place"]);
}
