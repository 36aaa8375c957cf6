import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { isRemoved } from "./caretaker-log.ts";
import type { OpenTimeline } from "./catalogue.ts";
import type { LogRecord } from "./log-reader.ts";
import { appendIn, type TimelineEntry } from "./timeline-log.ts";

/** Where a memento stands in the order of the log. */
export interface RowPlace {
  readonly stamp: number;
  readonly pack: string;
  readonly slot: number;
}

/** A memento as a timeline's log has it. */
export interface LogRow extends RowPlace {
  readonly entry: MementoEntry;
  readonly packBytes: number;
  readonly removed: boolean;
}

/** Which of a timeline's rows, and how. */
export interface RowsWanted {
  readonly order: "ascending" | "descending";
  /** Only what is strictly behind this place, in the order that is asked for. */
  readonly after: RowPlace | null;
  /** How many bytes of entries may be held at once. */
  readonly heldBytes: number;
}

/** The order of the log. Within a timeline it is that of the sequence numbers, because stamps grow along a log. */
export function compareRows(a: RowPlace, b: RowPlace): number {
  if (a.stamp !== b.stamp) return a.stamp - b.stamp;
  if (a.pack !== b.pack) return a.pack < b.pack ? -1 : 1;
  return a.slot - b.slot;
}

/**
 * A timeline's mementos in their order, as they are when the first is asked for. The caretaker's log must have been
 * looked at. Where an entry is damaged the stream gives all that is before it, and ends with DAMAGED.
 */
export async function* timelineRows(
  timeline: OpenTimeline,
  { order, after, heldBytes }: RowsWanted,
): AsyncIterable<LogRow> {
  const { log } = timeline;
  const end = await lastPosition(timeline);
  const sign = order === "ascending" ? 1 : -1;
  const [low, high] = after === null ? [1, end] : await narrowed(timeline, end, after, order);
  if (low > high) return;
  const records =
    order === "ascending" ? log.reader.records(low, high, heldBytes) : log.reader.records(high, low, heldBytes);
  for await (const record of records) {
    const rows = rowsOf(timeline, record);
    for (const row of order === "ascending" ? rows : rows.toReversed()) {
      if (after === null || compareRows(row, after) * sign > 0) yield row;
    }
  }
}

/** The log's last position, also when entries before it are damaged. */
async function lastPosition({ log }: OpenTimeline): Promise<number> {
  try {
    return (await log.refresh()).position;
  } catch (error) {
    if (!isMementoError(error, "DAMAGED")) throw error;
    return await log.reader.lastListed();
  }
}

/** The positions that can hold rows behind a place: found by halving, because stamps grow along the log. */
async function narrowed(
  { log }: OpenTimeline,
  end: number,
  { stamp }: RowPlace,
  order: RowsWanted["order"],
): Promise<readonly [low: number, high: number]> {
  let [low, high] = [1, end + 1];
  // The first position whose stamp is at least the place's, or above it.
  const isBehind = (other: number): boolean => (order === "ascending" ? other >= stamp : other > stamp);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBehind((await log.reader.demand(middle)).stamp)) high = middle;
    else low = middle + 1;
  }
  return order === "ascending" ? [low, end] : [1, low - 1];
}

/** The rows of one entry, in the order of their sequence numbers; none for one that is no append. */
function rowsOf({ record: { key }, caretaker }: OpenTimeline, record: LogRecord<TimelineEntry>): LogRow[] {
  const append = appendIn(record);
  if (append === null) return [];
  const { stamp } = record;
  const { pack, packBytes } = append;
  const known = caretaker.known?.state;
  return append.records.map(({ slot, entry }) => {
    const removed = known !== undefined && isRemoved(known, key, entry.sequence);
    return { stamp, pack, slot, entry, packBytes, removed };
  });
}
