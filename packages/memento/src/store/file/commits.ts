import { MementoError } from "../../core/errors.ts";
import type { StoredCommit } from "../store.ts";
import type { CaretakerEntry } from "./caretaker-log.ts";
import type { CaretakerLog, Catalogue, FileTimeline } from "./catalogue.ts";
import { STREAM_BYTES_MAX, type LogReader, type LogRecord } from "./log-reader.ts";
import { merge } from "./merge.ts";
import type { Packs } from "./packs.ts";
import { hashed } from "./paths.ts";
import { appendIn, type AppendEntry, type TimelineEntry } from "./timeline-log.ts";

/**
 * How far a reader has come in every log: by caretaker (a hash of its name), the position in its own log, and then those
 * in its timelines' logs, in the order in which its log has made them. Base64url of JSON, so about three bytes a timeline.
 */
type Cursor = Record<string, number[]>;

/** One log's next event, and which number of the cursor it moves. */
interface Event {
  readonly record: LogRecord<CaretakerEntry | TimelineEntry>;
  readonly append: AppendEntry | null;
  readonly notice: Uint8Array | null;
  readonly caretaker: string;
  readonly index: number;
}

/** Bytes of entries that all logs together hold in memory while they are put into one order. */
const HELD_BYTES_MAX = 4_194_304;

/**
 * The events of all logs behind a cursor. Each log's own order is kept, whatever happens meanwhile: the cursor has a
 * position in every one of them. Between logs the order is that of the stamps. Timelines are looked at after caretakers,
 * so a removal is never given before what it removes.
 *
 * A batch across timelines is one entry in each of their logs; those that are there when the reader comes by are given as
 * one commit, the others as another one with the same header.
 */
export async function* readCommits(
  catalogue: Catalogue,
  packs: Packs,
  after: string | null,
): AsyncIterable<StoredCommit> {
  const cursor = after === null ? {} : readCursor(after);
  const streams = await eventStreams(catalogue, cursor);
  let group: Event[] = [];
  for await (const event of merge(streams, compareEvents)) {
    const [first] = group;
    if (first !== undefined && compareEvents(first, event) !== 0) {
      yield await commitOf(group, packs, cursor);
      group = [];
    }
    group.push(event);
  }
  if (group.length > 0) yield await commitOf(group, packs, cursor);
}

async function eventStreams(catalogue: Catalogue, cursor: Cursor): Promise<AsyncIterable<Event>[]> {
  const caretakers: { readonly log: CaretakerLog; readonly position: number; readonly keys: readonly string[] }[] = [];
  for (const name of await catalogue.caretakerNames()) {
    const log = catalogue.caretaker(name);
    const { position, state } = await log.refresh();
    caretakers.push({ log, position, keys: [...state.timelines.keys()] });
  }
  const spans: { readonly open: (heldBytes: number) => AsyncIterable<Event> }[] = [];
  for (const { log, position, keys } of caretakers) {
    const caretaker = hashed(log.reader.place.id).slice(0, 16);
    const positions = (cursor[caretaker] ??= []);
    positions[0] ??= 0;
    const from = positions[0] + 1;
    if (from <= position)
      spans.push({ open: (heldBytes) => notices(log.reader, from, position, heldBytes, caretaker) });
    for (const [index, key] of keys.entries()) {
      const timeline = await catalogue.timeline(key);
      const first = (positions[index + 1] ??= 0) + 1;
      const last = timeline === null ? 0 : (await timeline.log.refresh()).position;
      if (timeline === null || first > last) continue;
      spans.push({ open: (heldBytes) => appends(timeline, first, last, heldBytes, caretaker, index + 1) });
    }
  }
  const heldBytes = Math.min(HELD_BYTES_MAX / Math.max(1, spans.length), STREAM_BYTES_MAX);
  return spans.map(({ open }) => open(heldBytes));
}

async function* notices(
  reader: LogReader<CaretakerEntry>,
  from: number,
  to: number,
  heldBytes: number,
  caretaker: string,
): AsyncIterable<Event> {
  for await (const record of reader.records(from, to, heldBytes)) {
    if (record.entry.kind !== "notice") continue;
    yield { record, append: null, notice: Buffer.from(record.entry.header, "base64"), caretaker, index: 0 };
  }
}

async function* appends(
  { log }: FileTimeline,
  from: number,
  to: number,
  heldBytes: number,
  caretaker: string,
  index: number,
): AsyncIterable<Event> {
  for await (const record of log.reader.records(from, to, heldBytes)) {
    const append = appendIn(record);
    if (append !== null) yield { record, append, notice: null, caretaker, index };
  }
}

/** Events that compare as equal are of one commit. */
function compareEvents(a: Event, b: Event): number {
  return a.record.stamp - b.record.stamp || compareTexts(commitKey(a), commitKey(b));
}

function commitKey({ append, record }: Event): string {
  return append?.pack ?? record.writer;
}

const compareTexts = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

/** Moves the cursor behind the events of one commit, and gives the commit. */
async function commitOf(events: readonly Event[], packs: Packs, cursor: Cursor): Promise<StoredCommit> {
  for (const { caretaker, index, record } of events) {
    const positions = cursor[caretaker];
    if (positions !== undefined) positions[index] = record.position;
  }
  const text = Buffer.from(JSON.stringify(cursor), "utf8").toString("base64url");
  const [first] = events;
  if (first?.notice) return { cursor: text, header: first.notice, body: null, accepted: [] };
  const records = events.flatMap(({ append }) => append?.records ?? []);
  const ids = records.map(({ entry }) => entry.id);
  const { header, body } = await packs.demand(first?.append?.pack ?? "", ids);
  const accepted = records.map(({ slot }) => slot).toSorted((a, b) => a - b);
  return { cursor: text, header, body, accepted };
}

function readCursor(text: string): Cursor {
  let cursor: unknown;
  try {
    cursor = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch (cause) {
    throw new MementoError("INVALID_ARGUMENT", "That is no cursor of this log", { cause });
  }
  const isPosition = (value: unknown): boolean => Number.isSafeInteger(value);
  const sound =
    typeof cursor === "object" &&
    cursor !== null &&
    Object.values(cursor).every((positions) => Array.isArray(positions) && positions.every(isPosition));
  if (!sound) throw new MementoError("INVALID_ARGUMENT", "That is no cursor of this log");
  return cursor as Cursor;
}
