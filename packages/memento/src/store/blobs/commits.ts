import { isMementoError, MementoError } from "../../core/errors.ts";
import type { StoredCommit } from "../store.ts";
import type { CaretakerEntry } from "./caretaker-log.ts";
import type { Catalogue, OpenTimeline } from "./catalogue.ts";
import { STREAM_BYTES_MAX, type LogReader, type LogRecord } from "./log-reader.ts";
import { merge } from "./merge.ts";
import type { PackBytes, Packs } from "./packs.ts";
import { hashed } from "./paths.ts";
import { appendIn, type AppendEntry, type TimelineEntry } from "./timeline-log.ts";
import { concurrently, inOrder } from "./turns.ts";

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

/** Packs that are read before their turn, and how large they may be. */
const PACKS_AHEAD = 8;
const LOOK_AHEAD_BYTES_MAX = 262_144;

/** Logs whose ends are looked for at once. */
const LOOKS_AT_ONCE = 12;

/**
 * The events of all logs behind a cursor. Each log's own order is kept, whatever happens meanwhile: the cursor has a
 * position in every one of them. Between logs the order is that of the stamps. Timelines are looked at after caretakers,
 * so a removal is never given before what it removes.
 *
 * A batch across timelines is one entry in each of their logs; those that are there when the reader comes by are given as
 * one commit, the others as another one with the same header.
 *
 * Damage stops the log that it is in: the others are given to their ends, then it is thrown. No cursor is ever behind what
 * could not be given.
 */
export async function* readCommits(
  catalogue: Catalogue,
  packs: Packs,
  after: string | null,
): AsyncIterable<StoredCommit> {
  const cursor = after === null ? {} : readCursor(after);
  const stopped = new Stopped();
  const streams = (await eventStreams(catalogue, cursor)).map((stream) => stopped.guard(stream));
  const groups = inOrder(inCommits(merge(streams, compareEvents)), PACKS_AHEAD, (events) => lookAhead(events, packs));
  for await (const { events, pack } of groups) {
    const wanted = events.filter((event) => !stopped.has(event));
    if (wanted.length === 0) continue;
    const commit = await stopped.attempt(wanted, () => commitOf(wanted, pack, cursor));
    if (commit !== null) yield commit;
  }
  stopped.rethrow();
}

/** The logs that cannot be read on because of damage, and the first of it. */
class Stopped {
  readonly #logs = new Set<string>();
  #damage: MementoError | null = null;

  has({ caretaker, index }: Event): boolean {
    return this.#logs.has(`${caretaker} ${index}`);
  }

  /** A stream that ends at damage. */
  async *guard(stream: AsyncIterable<Event>): AsyncIterable<Event> {
    try {
      yield* stream;
    } catch (error) {
      this.#keep(error);
    }
  }

  /** What the call gives; null, and the logs of these events stopped, when it meets damage. */
  async attempt<T>(events: readonly Event[], call: () => Promise<T>): Promise<T | null> {
    try {
      return await call();
    } catch (error) {
      this.#keep(error);
      for (const { caretaker, index } of events) this.#logs.add(`${caretaker} ${index}`);
      return null;
    }
  }

  rethrow(): void {
    if (this.#damage !== null) throw this.#damage;
  }

  #keep(error: unknown): void {
    if (!isMementoError(error, "DAMAGED")) throw error;
    this.#damage ??= error;
  }
}

/** Puts the events of one commit together. */
async function* inCommits(events: AsyncIterable<Event>): AsyncIterable<readonly Event[]> {
  let group: Event[] = [];
  for await (const event of events) {
    const [first] = group;
    if (first !== undefined && compareEvents(first, event) !== 0) {
      yield group;
      group = [];
    }
    group.push(event);
  }
  if (group.length > 0) yield group;
}

async function eventStreams(catalogue: Catalogue, cursor: Cursor): Promise<AsyncIterable<Event>[]> {
  // Timelines are looked at when all caretakers have been.
  const caretakers = await concurrently(await catalogue.caretakerNames(), LOOKS_AT_ONCE, async (name) => {
    const log = catalogue.caretaker(name);
    const { position, state } = await log.refresh();
    return { log, position, keys: [...state.timelines.keys()] };
  });
  const spans: { readonly open: (heldBytes: number) => AsyncIterable<Event> }[] = [];
  for (const { log, position, keys } of caretakers) {
    const caretaker = hashed(log.reader.place.id).slice(0, 16);
    const positions = (cursor[caretaker] ??= []);
    positions[0] ??= 0;
    const from = positions[0] + 1;
    if (from <= position)
      spans.push({ open: (heldBytes) => notices(log.reader, from, position, heldBytes, caretaker) });
    for (const index of keys.keys()) positions[index + 1] ??= 0;
    await concurrently([...keys.entries()], LOOKS_AT_ONCE, async ([index, key]) => {
      const timeline = await catalogue.timeline(key);
      const first = (positions[index + 1] ?? 0) + 1;
      const last = timeline === null ? 0 : (await timeline.log.refresh()).position;
      if (timeline === null || first > last) return;
      spans.push({ open: (heldBytes) => appends(timeline, first, last, heldBytes, caretaker, index + 1) });
    });
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
  { log }: OpenTimeline,
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

/** A commit's events, with its pack: a small one is being read already, a large one is read when its turn comes. */
interface Group {
  readonly events: readonly Event[];
  readonly pack: () => Promise<PackBytes | null>;
}

async function lookAhead(events: readonly Event[], packs: Packs): Promise<Group> {
  const [first] = events;
  if (first === undefined || first.append === null) return { events, pack: async () => null };
  const { pack: id, packBytes } = first.append;
  const ids = events.flatMap(({ append }) => append?.records ?? []).map(({ entry }) => entry.id);
  if (packBytes > LOOK_AHEAD_BYTES_MAX) return { events, pack: async () => await packs.demand(id, ids) };
  const [read] = await Promise.allSettled([packs.demand(id, ids)]);
  return {
    events,
    pack: async () => {
      if (read.status === "rejected") throw read.reason;
      return read.value;
    },
  };
}

/** Puts one commit together, and moves the cursor behind it. */
async function commitOf(events: readonly Event[], packOf: Group["pack"], cursor: Cursor): Promise<StoredCommit> {
  const records = events.flatMap(({ append }) => append?.records ?? []);
  const [first] = events;
  const pack = await packOf();
  for (const { caretaker, index, record } of events) {
    const positions = cursor[caretaker];
    if (positions !== undefined) positions[index] = record.position;
  }
  const text = Buffer.from(JSON.stringify(cursor), "utf8").toString("base64url");
  if (pack === null) return { cursor: text, header: first?.notice ?? new Uint8Array(), body: null, accepted: [] };
  const accepted = records.map(({ slot }) => slot).toSorted((a, b) => a - b);
  return { cursor: text, header: pack.header, body: pack.body, accepted };
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
