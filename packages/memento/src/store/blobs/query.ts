import { MementoError } from "../../core/errors.ts";
import { matchesQuery, type MementoQuery, type MementoSort, sortKey, type SortKey } from "../query.ts";
import type { IndexRow } from "../store.ts";
import type { Catalogue } from "./catalogue.ts";
import { STREAM_BYTES_MAX } from "./log-reader.ts";
import { merge } from "./merge.ts";
import { compareRows, timelineRows, type LogRow, type RowPlace } from "./rows.ts";
import { concurrently } from "./turns.ts";

/** A row's place among all rows that a query of its sort gives. */
interface KeyedPlace extends RowPlace {
  readonly key: SortKey;
}

/** Bytes of entries that all timelines together hold in memory while they are put into one order. */
const HELD_BYTES_MAX = 4_194_304;
/** Rows that are sorted at once; a list of more goes through the logs once more for each such page. */
const PAGE_MAX = 8_192;
/** Timelines that are read at once for a sort that goes through all of them. */
const TIMELINES_AT_ONCE = 8;

/**
 * Answers a query. The `log` sort goes through the timelines' logs side by side, by stamp, pack and slot: an order that is
 * fixed once a memento is appended, and in each timeline that of its sequence numbers. Other sorts collect rows, a page of
 * them at a time, and equal keys stand in the order of the log; mementos without a name sort as the empty name. Memory is
 * flat in the number of mementos, and grows by one entry for each timeline.
 *
 * A cursor names a place, not a row: it stays good while others append and remove.
 */
export async function* queryRows(catalogue: Catalogue, query: MementoQuery): AsyncIterable<IndexRow> {
  const { limit } = query;
  if (limit !== null && !(Number.isInteger(limit) && limit >= 0)) {
    throw new MementoError("INVALID_ARGUMENT", `A query's limit is a whole number or null, not ${limit}`);
  }
  if (limit === 0) return;
  const after = query.after === null ? null : readCursor(query.after, query.sort);
  let left = limit ?? Infinity;
  const rows = query.sort === "log" ? logRows(catalogue, query, after) : sortedRows(catalogue, query, after);
  for await (const { row, place } of rows) {
    const { entry, packBytes, pack, removed } = row;
    yield { entry, packBytes, pack, removed, cursor: writeCursor(place) };
    left -= 1;
    if (left === 0) return;
  }
}

interface PlacedRow {
  readonly row: LogRow;
  readonly place: KeyedPlace;
}

/** The wanted rows in the order of the log. */
async function* logRows(catalogue: Catalogue, query: MementoQuery, after: RowPlace | null): AsyncIterable<PlacedRow> {
  const timelines = await Array.fromAsync(wantedTimelines(catalogue, query));
  const heldBytes = Math.min(HELD_BYTES_MAX / Math.max(1, timelines.length), STREAM_BYTES_MAX);
  const sign = query.order === "ascending" ? 1 : -1;
  const streams = timelines.map((timeline) => timelineRows(timeline, { order: query.order, after, heldBytes }));
  for await (const row of merge(streams, (a, b) => compareRows(a, b) * sign)) {
    if (isWanted(query, row)) yield { row, place: placeOf("log", row) };
  }
}

async function* wantedTimelines(catalogue: Catalogue, query: MementoQuery): ReturnType<Catalogue["all"]> {
  if (query.timeline === null) {
    yield* catalogue.all(query.caretaker);
    return;
  }
  const timeline = await catalogue.timeline(query.timeline);
  if (timeline === null) return;
  await timeline.caretaker.refresh();
  yield timeline;
}

/** The wanted rows by another key. */
async function* sortedRows(
  catalogue: Catalogue,
  query: MementoQuery,
  start: KeyedPlace | null,
): AsyncIterable<PlacedRow> {
  const count = Math.min(query.limit ?? PAGE_MAX, PAGE_MAX);
  for (let after = start; ;) {
    const page = await firstRows(catalogue, query, after, count);
    yield* page;
    after = page.at(-1)?.place ?? null;
    if (page.length < count) return;
  }
}

/** The first `count` rows behind `after`, sorted; never holds more than about twice as many. */
async function firstRows(
  catalogue: Catalogue,
  query: MementoQuery,
  after: KeyedPlace | null,
  count: number,
): Promise<PlacedRow[]> {
  const sign = query.order === "ascending" ? 1 : -1;
  const compare = (a: PlacedRow, b: PlacedRow): number => comparePlaces(a.place, b.place) * sign;
  const first: PlacedRow[] = [];
  const timelines = await Array.fromAsync(wantedTimelines(catalogue, query));
  await concurrently(timelines, TIMELINES_AT_ONCE, async (timeline) => {
    for await (const row of timelineRows(timeline, { order: "ascending", after: null, heldBytes: STREAM_BYTES_MAX })) {
      if (!isWanted(query, row)) continue;
      const place = placeOf(query.sort, row);
      if (after !== null && comparePlaces(place, after) * sign <= 0) continue;
      first.push({ row, place });
      if (first.length < 2 * count + 1_000) continue;
      first.sort(compare);
      first.splice(count);
    }
  });
  first.sort(compare);
  first.splice(count);
  return first;
}

function isWanted(query: MementoQuery, { removed, entry }: LogRow): boolean {
  return (query.removed || !removed) && matchesQuery(query, entry);
}

function placeOf(sort: MementoSort, { stamp, pack, slot, entry }: LogRow): KeyedPlace {
  return { key: sortKey(sort, entry), stamp, pack, slot };
}

function comparePlaces(a: KeyedPlace, b: KeyedPlace): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return compareRows(a, b);
}

function writeCursor({ key, stamp, pack, slot }: KeyedPlace): string {
  return Buffer.from(JSON.stringify([key, stamp, pack, slot]), "utf8").toString("base64url");
}

function readCursor(cursor: string, sort: MementoSort): KeyedPlace {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch (cause) {
    throw foreignCursor(cursor, cause);
  }
  const [key, stamp, pack, slot] = Array.isArray(parts) ? (parts as unknown[]) : [];
  const keyIsSound = typeof key === (sort === "size" || sort === "log" ? "number" : "string");
  const placeIsSound = typeof pack === "string" && Number.isInteger(stamp) && Number.isInteger(slot);
  if (!keyIsSound || !placeIsSound) throw foreignCursor(cursor);
  return { key: key as SortKey, stamp: stamp as number, pack, slot: slot as number };
}

function foreignCursor(cursor: string, cause?: unknown): MementoError {
  const options = cause === undefined ? {} : { cause };
  return new MementoError(
    "INVALID_ARGUMENT",
    `${JSON.stringify(cursor.slice(0, 60))} is not a cursor of such a query`,
    options,
  );
}
