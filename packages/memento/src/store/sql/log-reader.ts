import { isMementoError, MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { bytesOf, damagedRow, nullable } from "../columns.ts";
import type { CommitHeader } from "../header.ts";
import { matchesQuery, type MementoQuery } from "../query.ts";
import type { LogPosition, LogRow, LogRows } from "../scan.ts";
import type { StoredCommit } from "../store.ts";
import { bodyOf } from "./bodies.ts";
import { acceptedSlots, entryAt, headerOf, readSlotsOf, type Slot, slotOf } from "./log.ts";
import { queryTexts } from "./query-texts.ts";
import { numberOf, type Row } from "./rows.ts";
import type { SqlEngine, SqlSession } from "./session.ts";

/** Pages start small, because most queries want the newest few. */
const PAGE_ROWS_MIN = 8;
const PAGE_ROWS_MAX = 256;
const PAGE_BYTES = 4_194_304;
const COMMITS_AT_ONCE = 64;

/** Reads the log of a store: page by page, so that no transaction is held open between two rows. */
export class SqlLog implements LogRows {
  readonly #engine: () => SqlEngine;

  /** `engine` is asked for before each page, so that a store that was closed meanwhile is told. */
  constructor(engine: () => SqlEngine) {
    this.#engine = engine;
  }

  rows(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    return query.timeline === null ? this.#rowsOfAll(query, after) : this.#rowsOfTimeline(query, query.timeline, after);
  }

  async at({ commit, slot }: LogPosition): Promise<LogRow | null> {
    return await this.#engine().read(async (session) => {
      const row = await session.get(session.statements.commitSlot, commit, slot);
      return row === undefined ? null : (rowsOfCommit(row, [slotOf(row)])[0] ?? null);
    });
  }

  /** Every commit behind a number, in their order: none is left out that could still appear. */
  async *commits(after: number): AsyncIterable<StoredCommit> {
    let last = after;
    let settled = 0;
    for (;;) {
      const page = await this.#engine().read(async (session) => await readCommits(session, last));
      let isWhole = true;
      for (const { id, header, body, large, slots } of page) {
        if (id > settled && id !== last + 1) {
          // A number is missing: its transaction was rolled back, or it is still on the way.
          settled = await this.#engine().settle();
          isWhole = false;
          break;
        }
        if (slots instanceof MementoError) throw slots;
        yield {
          cursor: String(id),
          header,
          body: large ? await this.#largeBody(id) : body,
          accepted: slots.map(({ slot }) => slot),
        };
        last = id;
      }
      if (isWhole && page.length < COMMITS_AT_ONCE) return;
    }
  }

  async #largeBody(id: number): Promise<Uint8Array | null> {
    // In a snapshot, so that a collection that drops it meanwhile is seen before or after.
    const snapshot = await this.#engine().snapshot();
    try {
      const { session } = snapshot;
      const row = await session.get(session.statements.commitWithBody, id);
      return row === undefined ? null : await bodyOf(session, row);
    } finally {
      await snapshot.release();
    }
  }

  async *#rowsOfAll(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    const ascending = query.order === "ascending";
    const texts = queryTexts(query);
    // The commit of the cursor is read again: its other slots may still be due.
    let last = after === null ? (ascending ? 0 : Number.MAX_SAFE_INTEGER) : after.commit + (ascending ? -1 : 1);
    for (let size = PAGE_ROWS_MIN; ;) {
      const page = await this.#engine().read(async (session) => {
        const { commitsAfter, commitsBefore } = session.statements;
        const rows = await session.all((ascending ? commitsAfter : commitsBefore)(size, texts.length), last, ...texts);
        const slots = await readSlotsOf(
          session,
          rows.map((row) => numberOf(row, "id")),
        );
        return rows.map((row) => ({ row, slots: slots.get(numberOf(row, "id")) ?? [] }));
      });
      for (const { row, slots } of page) {
        const rows = rowsOfCommit(row, slots).filter(({ entry }) => matchesQuery(query, entry));
        for (const each of ascending ? rows : rows.toReversed()) if (isBehind(each, after, ascending)) yield each;
        last = numberOf(row, "id");
      }
      if (page.length < size) return;
      size = nextSize(
        size,
        page.map(({ row }) => row),
      );
    }
  }

  async *#rowsOfTimeline(query: MementoQuery, timeline: string, after: LogPosition | null): AsyncIterable<LogRow> {
    const ascending = query.order === "ascending";
    let last = after === null ? (ascending ? 0 : Number.MAX_SAFE_INTEGER) : await this.#sequenceAt(timeline, after);
    for (let size = PAGE_ROWS_MIN; ;) {
      const page = await this.#engine().read(async (session) => {
        const { placesAfter, placesBefore } = session.statements;
        return await session.all((ascending ? placesAfter : placesBefore)(size), timeline, last);
      });
      for (const row of rowsOfPlaces(page)) {
        yield row;
        last = row.entry.sequence;
      }
      if (page.length < size) return;
      size = nextSize(size, page);
    }
  }

  async #sequenceAt(timeline: string, { commit, slot }: LogPosition): Promise<number> {
    const entry = await this.#engine().read(async (session): Promise<MementoEntry | undefined> => {
      const row = await session.get(session.statements.commitById, commit);
      const header = row && headerOf(row, commit);
      return header?.type === "pack" ? header.entries[slot] : undefined;
    });
    if (entry?.timeline === timeline) return entry.sequence;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The cursor is of another query: commit ${commit} is not of timeline ${timeline}`,
    );
  }
}

interface CommitOfPage {
  readonly id: number;
  readonly header: Uint8Array;
  readonly body: Uint8Array | null;
  /** True: the body is there, and too large to come with the page. */
  readonly large: boolean;
  /** What is wrong with it is told once everything before it was given. */
  readonly slots: readonly Slot[] | MementoError;
}

async function readCommits(session: SqlSession, last: number): Promise<readonly CommitOfPage[]> {
  const rows = await session.all(session.statements.commitsWithBodies(COMMITS_AT_ONCE), last);
  const slots = await readSlotsOf(
    session,
    rows.map((row) => numberOf(row, "id")),
  );
  return rows.map((row) => {
    const id = numberOf(row, "id");
    const body = nullable(row, "body", bytesOf);
    const large = body === null && (row["body_id"] !== null || row["body_bytes"] !== null);
    return { id, header: bytesOf(row, "header"), body, large, slots: slotsOrDamage(row, id, slots.get(id) ?? []) };
  });
}

function slotsOrDamage(row: Row, id: number, slots: readonly Slot[]): readonly Slot[] | MementoError {
  try {
    return acceptedSlots(headerOf(row, id), slots).map(({ slot }) => slot);
  } catch (error) {
    if (isMementoError(error)) return error;
    throw error;
  }
}

function rowsOfCommit(row: Row, slots: readonly Slot[]): readonly LogRow[] {
  const commit = numberOf(row, "id");
  const packBytes = bytesOf(row, "header").byteLength + (nullable(row, "body_bytes", numberOf) ?? 0);
  return acceptedSlots(headerOf(row, commit), slots).map(({ entry, slot }) => ({
    commit,
    slot: slot.slot,
    entry,
    packBytes,
    removed: slot.removedBy !== 0,
  }));
}

function* rowsOfPlaces(rows: readonly Row[]): Iterable<LogRow> {
  let pack = null as { readonly commit: number; readonly row: Row; readonly header: CommitHeader } | null;
  for (const row of rows) {
    const slot = slotOf(row);
    const { timeline, sequence, commit } = slot;
    if (row["found"] === null)
      throw damagedRow(`Commit ${commit}, which holds memento ${timeline}-${sequence}, is missing`);
    if (pack?.commit !== commit) pack = { commit, row, header: headerOf(row, commit) };
    const packBytes = bytesOf(pack.row, "header").byteLength + (nullable(row, "body_bytes", numberOf) ?? 0);
    yield { commit, slot: slot.slot, entry: entryAt(pack.header, slot), packBytes, removed: slot.removedBy !== 0 };
  }
}

/** Pages grow with what is read, as long as their headers stay within some megabytes: packs may be large. */
function nextSize(size: number, page: readonly Row[]): number {
  const bytes = page.reduce((sum, row) => sum + (nullable(row, "header", bytesOf)?.byteLength ?? 0), 0);
  const fitting = Math.floor((PAGE_BYTES * page.length) / Math.max(1, bytes));
  return Math.max(1, Math.min(2 * size, PAGE_ROWS_MAX, fitting));
}

function isBehind(row: LogPosition, after: LogPosition | null, ascending: boolean): boolean {
  if (after === null) return true;
  const distance = row.commit - after.commit || row.slot - after.slot;
  return ascending ? distance > 0 : distance < 0;
}
