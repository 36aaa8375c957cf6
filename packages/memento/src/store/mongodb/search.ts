import type { Filter } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import type { MementoQuery } from "../query.ts";
import type { LogPosition, LogRow, LogRows } from "../scan.ts";
import { findAll } from "./changes.ts";
import {
  commitOf,
  damagedDocument,
  entryOf,
  labelText,
  metadataText,
  orderOf,
  slotOf,
  type MementoDocument,
  type StoreDocument,
} from "./documents.ts";
import type { StoreAccess, Tail } from "./tail.ts";

/** Pages start small, because most queries want the newest few. */
const PAGE_ROWS_MIN = 32;
const PAGE_ROWS_MAX = 2_048;
/** So many commits are looked at first; four times as many each time that they are not enough. */
const WINDOW_COMMITS_MIN = 64;

/** Mementos in the order of the log, page by page, so that nothing is held open between two rows. */
export class MementoRows implements LogRows {
  readonly #access: StoreAccess;
  readonly #tail: Tail;
  readonly #checkOpen: () => void;

  /** `checkOpen` is called before each page, so that a store that was closed meanwhile is told. */
  constructor(access: StoreAccess, tail: Tail, checkOpen: () => void) {
    this.#access = access;
    this.#tail = tail;
    this.#checkOpen = checkOpen;
  }

  async at({ commit, slot }: LogPosition): Promise<LogRow | null> {
    const order = orderOf(commit, slot);
    const [row] = await this.#tail.read(async () => await this.#page({ order }, order, 1));
    return row ?? null;
  }

  /** One after the other, in windows of commits: what a query asks for is mostly near its start. */
  async *rows(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    const filter = filterOf(query);
    const ascending = query.order === "ascending";
    const last = await this.#tail.settle();
    const end = ascending ? orderOf(last + 1, 0) : -1;
    const start = after === null ? (ascending ? -1 : orderOf(last + 1, 0)) : orderOf(after.commit, after.slot);
    let place = start;
    let size = PAGE_ROWS_MIN;
    for (let window = WINDOW_COMMITS_MIN; ascending ? place < end : place > 0; window *= 4) {
      const reach = orderOf(window, 0);
      const edge = ascending ? Math.min(place + reach, end) : Math.max(place - reach, -1);
      for (;;) {
        this.#checkOpen();
        const bounds = ascending ? { $gt: place, $lte: edge } : { $gte: edge, $lt: place };
        const count = size;
        const read = async (): Promise<readonly LogRow[]> =>
          await this.#page({ ...filter, order: bounds }, ascending ? 1 : -1, count);
        const page = await this.#tail.read(read);
        yield* page;
        const final = page.at(-1);
        if (final !== undefined) place = orderOf(final.commit, final.slot);
        if (page.length < count) break;
        size = Math.min(2 * size, PAGE_ROWS_MAX);
      }
      place = edge;
    }
  }

  async #page(filter: Filter<StoreDocument>, direction: number, limit: number): Promise<readonly LogRow[]> {
    const { documents, maxTimeMS } = this.#access;
    const options = { sort: { order: direction < 0 ? (-1 as const) : (1 as const) }, limit, maxTimeMS };
    const rows = (await documents.find(filter, options).toArray()) as unknown as MementoDocument[];
    const commits = [...new Set(rows.map(({ order }) => commitOf(order)))];
    const sizes = await findAll(this.#access, commits, { headerBytes: 1, bodyBytes: 1 });
    return rows.map((row) => rowOf(row, sizes.get(commitOf(row.order))));
  }
}

function rowOf(row: MementoDocument, log: StoreDocument | undefined): LogRow {
  const { order, removedBy, memento } = row;
  const commit = commitOf(order);
  if (log === undefined)
    throw new MementoError("DAMAGED", `Commit ${commit}, which holds memento ${memento}, is missing`);
  const entry = entryOf(row);
  if (entry.id !== memento) throw damagedDocument(row._id);
  const packBytes = Number(log["headerBytes"]) + Number(log["bodyBytes"] ?? 0);
  return { commit, slot: slotOf(order), entry, packBytes, removed: removedBy !== 0 };
}

/** What of a query the server can decide; all of it but the range of the order. */
function filterOf(query: MementoQuery): Filter<StoreDocument> {
  const { caretaker, timeline, originator, kind, status, reason, run, stage, name } = query;
  const equal = Object.entries({ caretaker, timeline, originator, kind, status, reason, run, stage, name });
  const labels = Object.entries(query.labels).map(([key, value]) => labelText(key, value));
  const metadata = Object.entries(query.metadata).map(([path, value]) => metadataText(path, value));
  const created = range("$gte", query.createdFrom, "$lt", query.createdBefore);
  const bytes = range("$gte", query.logicalBytesMin, "$lte", query.logicalBytesMax);
  return {
    ...Object.fromEntries(equal.filter(([, value]) => value !== null)),
    ...(query.removed ? {} : { removedBy: 0 }),
    ...(query.parts ? {} : { part: false }),
    ...(created === null ? {} : { created }),
    ...(bytes === null ? {} : { bytes }),
    ...(labels.length === 0 ? {} : { labels: { $all: labels } }),
    ...(metadata.length === 0 ? {} : { metadata: { $all: metadata } }),
  };
}

function range(
  from: string,
  least: string | number | null,
  to: string,
  most: string | number | null,
): Record<string, string | number> | null {
  const bounds = { ...(least === null ? {} : { [from]: least }), ...(most === null ? {} : { [to]: most }) };
  return Object.keys(bounds).length === 0 ? null : bounds;
}
