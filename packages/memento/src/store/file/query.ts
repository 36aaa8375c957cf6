import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { matchesQuery, type MementoQuery, type MementoSort } from "../query.ts";
import type { IndexRow } from "../store.ts";
import type { Catalogue, FileTimeline } from "./catalogue.ts";
import { STREAM_BYTES_MAX } from "./log-reader.ts";
import { merge } from "./merge.ts";
import { compareRows, rowsOf, timelineRows, type FileRow, type RowPlace } from "./rows.ts";
import { concurrently } from "./turns.ts";

type SortKey = number | string;

/** A row's place among all rows that a query of its sort gives. */
interface KeyedPlace extends RowPlace {
  readonly key: SortKey;
}

/** Bytes of entries that all timelines together hold in memory while they are put into one order. */
const HELD_BYTES_MAX = 4_194_304;
/** Keys that are sorted at once; more matches than this are gone through once more for each such page. */
const PAGE_MAX = 32_768;
const READ_AHEAD = 64;
const READS_AT_ONCE = 8;

/**
 * Answers a query. The `log` sort goes through the timelines' logs side by side, by stamp, pack and slot: an order that is
 * fixed once a memento is appended, and in each timeline that of its sequence numbers. Other sorts collect keys, a page of
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
    const { entry, packBytes, removed } = row;
    yield { entry, packBytes, removed, cursor: writeCursor(place) };
    left -= 1;
    if (left === 0) return;
  }
}

/** A key that was collected, and where its row can be read again. */
interface CollectedPlace {
  readonly place: KeyedPlace;
  readonly row: { readonly timeline: FileTimeline; readonly position: number };
}

interface PlacedRow {
  readonly row: FileRow;
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
    const page = await firstPlaces(catalogue, query, after, count);
    for (let index = 0; index < page.length; index += READ_AHEAD) {
      const rows = await concurrently(page.slice(index, index + READ_AHEAD), READS_AT_ONCE, readPlaced);
      // One of them may have been removed since its key was collected.
      for (const placed of rows) if (isWanted(query, placed.row)) yield placed;
    }
    after = page.at(-1)?.place ?? null;
    if (page.length < count) return;
  }
}

async function readPlaced({ place, row: { timeline, position } }: CollectedPlace): Promise<PlacedRow> {
  const rows = rowsOf(timeline, await timeline.log.reader.demand(position));
  const row = rows.find(({ slot }) => slot === place.slot);
  if (row === undefined) throw new MementoError("DAMAGED", `The log of timeline ${timeline.record.key} has changed`);
  return { row, place };
}

/** The first `count` places behind `after`, sorted; never holds more than about twice as many. */
async function firstPlaces(
  catalogue: Catalogue,
  query: MementoQuery,
  after: KeyedPlace | null,
  count: number,
): Promise<CollectedPlace[]> {
  const sign = query.order === "ascending" ? 1 : -1;
  const compare = (a: CollectedPlace, b: CollectedPlace): number => comparePlaces(a.place, b.place) * sign;
  const places: CollectedPlace[] = [];
  for await (const timeline of wantedTimelines(catalogue, query)) {
    for await (const row of timelineRows(timeline, { order: "ascending", after: null, heldBytes: STREAM_BYTES_MAX })) {
      if (!isWanted(query, row)) continue;
      const place = placeOf(query.sort, row);
      if (after !== null && comparePlaces(place, after) * sign <= 0) continue;
      places.push({ place, row: { timeline, position: row.position } });
      if (places.length < 2 * count + 1_000) continue;
      places.sort(compare);
      places.splice(count);
    }
  }
  places.sort(compare);
  places.splice(count);
  return places;
}

function isWanted(query: MementoQuery, { removed, entry }: FileRow): boolean {
  return (query.removed || !removed) && matchesQuery(query, entry);
}

function placeOf(sort: MementoSort, { stamp, pack, slot, entry }: FileRow): KeyedPlace {
  return { key: sortKey(sort, entry), stamp, pack, slot };
}

function sortKey(sort: MementoSort, entry: MementoEntry): SortKey {
  switch (sort) {
    case "created":
      return entry.created;
    case "size":
      return entry.sizes.logicalBytes;
    case "name":
      return entry.name ?? "";
    case "log":
      return 0;
  }
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
