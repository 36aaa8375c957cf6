import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import { matchesQuery, type MementoQuery, type MementoSort, sortKey, type SortKey } from "./query.ts";
import type { IndexRow } from "./store.ts";

/** Where a row stands in a store's log: the number of its commit, and its slot there. */
export interface LogPosition {
  readonly commit: number;
  readonly slot: number;
}

/** An index row as an embedded driver reads it from its log. */
export interface LogRow extends LogPosition {
  readonly entry: MementoEntry;
  readonly packBytes: number;
  readonly removed: boolean;
}

/** What the query engine needs of a driver. */
export interface LogRows {
  /**
   * Rows by commit and slot, in the query's order, strictly behind `after` (null: all). May leave out rows that the query
   * does not want; the engine filters again.
   */
  rows(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> | Iterable<LogRow>;
  /** The row at a position; null when there is none. */
  at(position: LogPosition): Promise<LogRow | null> | LogRow | null;
  /** The rows at some positions, in their order, for a driver that is far from its engine: it is then asked for a few at a time. */
  atEach?(positions: readonly LogPosition[]): Promise<readonly (LogRow | null)[]>;
}

const ROWS_AT_ONCE = 64;

interface KeyedPosition extends LogPosition {
  readonly key: SortKey;
}

/**
 * Answers a query from a driver's log: filter, removed rows, sort, order, limit and cursor. The `log` sort streams with
 * flat memory; other sorts hold one small key for each match, or for each of `limit` matches. Equal keys stand in the
 * order of the log. Mementos without a name sort as the empty name. A cursor names a place, not a row: it stays good
 * while others append and remove.
 */
export async function* scanLog(log: LogRows, query: MementoQuery): AsyncIterable<IndexRow> {
  if (query.limit !== null && !(Number.isInteger(query.limit) && query.limit >= 0)) {
    throw new MementoError("INVALID_ARGUMENT", `A query's limit is a whole number or null, not ${query.limit}`);
  }
  if (query.limit === 0) return;
  yield* query.sort === "log" ? scanInLogOrder(log, query) : scanByKey(log, query);
}

async function* scanInLogOrder(log: LogRows, query: MementoQuery): AsyncIterable<IndexRow> {
  let left = query.limit ?? Infinity;
  for await (const row of log.rows(query, query.after === null ? null : readLogCursor(query.after))) {
    if (!wanted(query, row)) continue;
    yield indexRow(row, logCursor(row));
    left -= 1;
    if (left === 0) return;
  }
}

async function* scanByKey(log: LogRows, query: MementoQuery): AsyncIterable<IndexRow> {
  let left = query.limit ?? Infinity;
  let after = query.after === null ? null : readKeyCursor(query.after, query.sort);
  for (;;) {
    const page = await firstKeys(log, query, after, left);
    for await (const [place, row] of rowsAt(log, page)) {
      after = place;
      // A row may have been removed since its key was collected.
      if (row === null || !wanted(query, row)) continue;
      yield indexRow(row, keyCursor(place));
      left -= 1;
    }
    if (page.length === 0 || left === 0 || query.limit === null) return;
  }
}

async function* rowsAt(
  log: LogRows,
  places: readonly KeyedPosition[],
): AsyncIterable<readonly [KeyedPosition, LogRow | null]> {
  if (log.atEach === undefined) {
    for (const place of places) yield [place, await log.at(place)];
    return;
  }
  for (let start = 0; start < places.length; start += ROWS_AT_ONCE) {
    const some = places.slice(start, start + ROWS_AT_ONCE);
    const rows = await log.atEach(some);
    for (const [index, place] of some.entries()) yield [place, rows[index] ?? null];
  }
}

/** The keys of the first `count` matches behind `after`, sorted; never holds more than about twice as many. */
async function firstKeys(
  log: LogRows,
  query: MementoQuery,
  after: KeyedPosition | null,
  count: number,
): Promise<KeyedPosition[]> {
  const compare =
    query.order === "ascending" ? comparePlaces : (a: KeyedPosition, b: KeyedPosition): number => comparePlaces(b, a);
  let keys: KeyedPosition[] = [];
  for await (const row of log.rows(query, null)) {
    if (!wanted(query, row)) continue;
    const place = { key: sortKey(query.sort, row.entry), commit: row.commit, slot: row.slot };
    if (after !== null && compare(place, after) <= 0) continue;
    keys.push(place);
    if (keys.length >= 2 * count + 1_000) keys = keys.toSorted(compare).slice(0, count);
  }
  return keys.toSorted(compare).slice(0, count);
}

function wanted(query: MementoQuery, row: LogRow): boolean {
  return (query.removed || !row.removed) && matchesQuery(query, row.entry);
}

function indexRow({ entry, packBytes, commit, removed }: LogRow, cursor: string): IndexRow {
  return { entry, packBytes, pack: String(commit), removed, cursor };
}

function comparePlaces(a: KeyedPosition, b: KeyedPosition): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return a.commit - b.commit || a.slot - b.slot;
}

function logCursor({ commit, slot }: LogPosition): string {
  return `${commit}.${slot}`;
}

function readLogCursor(cursor: string): LogPosition {
  const match = /^([0-9]{1,15})\.([0-9]{1,9})$/.exec(cursor);
  if (match === null) throw foreignCursor(cursor);
  return { commit: Number(match[1]), slot: Number(match[2]) };
}

function keyCursor({ key, commit, slot }: KeyedPosition): string {
  return Buffer.from(JSON.stringify([key, commit, slot]), "utf8").toString("base64url");
}

function readKeyCursor(cursor: string, sort: MementoSort): KeyedPosition {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch (cause) {
    throw foreignCursor(cursor, cause);
  }
  const [key, commit, slot] = Array.isArray(parts) ? (parts as unknown[]) : [];
  const keyIsSound = typeof key === (sort === "size" ? "number" : "string");
  if (!keyIsSound || !Number.isInteger(commit) || !Number.isInteger(slot)) throw foreignCursor(cursor);
  return { key: key as SortKey, commit: commit as number, slot: slot as number };
}

function foreignCursor(cursor: string, cause?: unknown): MementoError {
  const options = cause === undefined ? {} : { cause };
  return new MementoError(
    "INVALID_ARGUMENT",
    `${JSON.stringify(cursor.slice(0, 60))} is not a cursor of such a query`,
    options,
  );
}
