/** The version of the tables below. */
export const JOURNAL_VERSION = 1;

/**
 * The journal of calls, in a SQLite file:
 *
 * - `memento_calls_format`: the version of these tables, and `place`, a random name that the file keeps wherever it is moved.
 * - `memento_calls_streams`: what one sink of one timeline has done: `position` grows with each write and each revert.
 * - `memento_calls_entries`: what each position is. `live` says whether a write is in force; `open` is 1 until all of its calls (or of
 *   a revert's) are answered; `result` is what a revert does.
 * - `memento_calls_uses`: how often a token was written: what was refused or taken back is called anew with another key.
 * - `memento_calls_events`: at what positions a write came into force and went out of it.
 * - `memento_calls_calls`: the calls of a write. `state`: planned, asked (under way, or its answer was lost), made, undoing, undone, stays
 *   (it could not be taken back), redoing. `turn` counts how often it was taken back, made again, or planned with other rows.
 */
export const JOURNAL_TABLES = `
CREATE TABLE IF NOT EXISTS memento_calls_format (version INTEGER NOT NULL, place TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS memento_calls_streams (
  id INTEGER PRIMARY KEY, timeline TEXT NOT NULL, sink TEXT NOT NULL, epoch INTEGER NOT NULL, position INTEGER NOT NULL,
  oldest INTEGER NOT NULL, UNIQUE (timeline, sink)
);
CREATE TABLE IF NOT EXISTS memento_calls_entries (
  stream INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, token TEXT NOT NULL, use INTEGER NOT NULL,
  records INTEGER NOT NULL, live INTEGER NOT NULL, open INTEGER NOT NULL, back INTEGER, result TEXT,
  PRIMARY KEY (stream, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS memento_calls_entries_by_token ON memento_calls_entries (stream, token);
CREATE TABLE IF NOT EXISTS memento_calls_uses (
  stream INTEGER NOT NULL, token TEXT NOT NULL, uses INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (stream, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS memento_calls_events (
  stream INTEGER NOT NULL, entry INTEGER NOT NULL, position INTEGER NOT NULL, live INTEGER NOT NULL,
  PRIMARY KEY (stream, entry, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS memento_calls_events_by_position ON memento_calls_events (stream, position);
CREATE TABLE IF NOT EXISTS memento_calls_calls (
  stream INTEGER NOT NULL, entry INTEGER NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, turn INTEGER NOT NULL,
  count INTEGER NOT NULL, rows TEXT, answer TEXT,
  PRIMARY KEY (stream, entry, number)
);
`;
