import { sha256 } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { bytesOf, damagedRow, nullable, textOf } from "../columns.ts";
import { decodeHeader, type CommitHeader } from "../header.ts";
import { matchesQuery, type MementoQuery } from "../query.ts";
import type { LogPosition, LogRow, LogRows } from "../scan.ts";
import type { PackGlance, StoredCommit, StoredMemento } from "../store.ts";
import type { Connection } from "./connection.ts";
import { numberOf, type Row } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** Pages start small, because most queries want the newest few. */
const PAGE_ROWS_MIN = 4;
const PAGE_ROWS_MAX = 64;

/** Where one memento lies and whether it lives, from its row. */
export interface Slot {
  readonly commit: number;
  readonly slot: number;
  readonly nonce: string;
  readonly removedBy: number;
}

/** Reads the log of a store's database: page by page, so that nothing is held open between two rows. */
export class SqliteLog implements LogRows {
  readonly #connection: () => Connection;

  /** `connection` is asked for before each page, so that a store that was closed meanwhile is told. */
  constructor(connection: () => Connection) {
    this.#connection = connection;
  }

  rows(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    return query.timeline === null ? this.#rowsOfAll(query, after) : this.#rowsOfTimeline(query, query.timeline, after);
  }

  async at({ commit, slot }: LogPosition): Promise<LogRow | null> {
    return await this.#connection().read((statements) => {
      const row = statements.commitById.get(commit);
      return row === undefined ? null : (rowsOfCommit(statements, row, (_, index) => index === slot)[0] ?? null);
    });
  }

  async *commits(after: number): AsyncIterable<StoredCommit> {
    let last = after;
    for (let size = PAGE_ROWS_MIN; ; size = Math.min(2 * size, PAGE_ROWS_MAX)) {
      const page = await this.#connection().read((statements) =>
        statements.commitsAfter.all(last, size).map((row) => ({
          id: numberOf(row, "id"),
          header: bytesOf(row, "header"),
          slots: attempt(() => rowsOfCommit(statements, row, () => true).map(({ slot }) => slot)),
        })),
      );
      for (const { id, header, slots } of page) {
        const accepted = outcome(slots);
        // Bodies are read one at a time: a page of them could be larger than memory.
        const body = await this.#connection().read((statements) => statements.body.get(id));
        yield {
          cursor: String(id),
          header,
          body: body === undefined ? null : nullable(body, "body", bytesOf),
          accepted,
        };
        last = id;
      }
      if (page.length < size) return;
    }
  }

  async *#rowsOfAll(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    const ascending = query.order === "ascending";
    const wanted = (entry: MementoEntry): boolean => matchesQuery(query, entry);
    // The commit of the cursor is read again: its other slots may still be due.
    let last = after === null ? (ascending ? 0 : Number.MAX_SAFE_INTEGER) : after.commit + (ascending ? -1 : 1);
    for (let size = PAGE_ROWS_MIN; ; size = Math.min(2 * size, PAGE_ROWS_MAX)) {
      const page = await this.#connection().read((statements) =>
        (ascending ? statements.commitsAfter : statements.commitsBefore)
          .all(last, size)
          .map((row) => ({ id: numberOf(row, "id"), rows: attempt(() => rowsOfCommit(statements, row, wanted)) })),
      );
      for (const { id, rows: found } of page) {
        const rows = outcome(found);
        for (const row of ascending ? rows : rows.toReversed()) if (isBehind(row, after, ascending)) yield row;
        last = id;
      }
      if (page.length < size) return;
    }
  }

  async *#rowsOfTimeline(query: MementoQuery, timeline: string, after: LogPosition | null): AsyncIterable<LogRow> {
    const ascending = query.order === "ascending";
    let last = after === null ? (ascending ? 0 : Number.MAX_SAFE_INTEGER) : await this.#sequenceAt(timeline, after);
    for (let size = PAGE_ROWS_MIN; ; size = Math.min(2 * size, PAGE_ROWS_MAX)) {
      const page = await this.#connection().read((statements) => {
        const found = (ascending ? statements.placesAfter : statements.placesBefore).all(timeline, last, size);
        return found.map((row) => attempt(() => rowOfPlace(timeline, row)));
      });
      for (const found of page) {
        const row = outcome(found);
        yield row;
        last = row.entry.sequence;
      }
      if (page.length < size) return;
    }
  }

  async #sequenceAt(timeline: string, { commit, slot }: LogPosition): Promise<number> {
    const row = await this.#connection().read((statements) => statements.commitById.get(commit));
    const header = row && headerOf(row, commit);
    const entry = header?.type === "pack" ? header.entries[slot] : undefined;
    if (entry?.timeline === timeline) return entry.sequence;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The cursor is of another query: commit ${commit} is not of timeline ${timeline}`,
    );
  }
}

/** What a row of a page comes to: damage is kept until what stands before it was given. */
type Attempt<T> = { readonly value: T } | { readonly error: MementoError };

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { value: read() };
  } catch (error) {
    // What SQLite itself throws is put into our words by the connection.
    if (!isMementoError(error)) throw error;
    return { error };
  }
}

function outcome<T>(attempted: Attempt<T>): T {
  if ("error" in attempted) throw attempted.error;
  return attempted.value;
}

/** Finds a memento's pack by its id; null when there is no such memento, DAMAGED when there should be one. */
export function readMemento(statements: Statements, id: string): StoredMemento | null {
  const place = parseMementoId(id);
  if (place === undefined) return null;
  const { timeline, sequence } = place;
  const row = statements.pack.get(timeline, sequence);
  if (row === undefined) {
    const standing = statements.standing.get(timeline);
    if (standing === undefined || numberOf(standing, "head_sequence") < sequence) return null;
    throw damagedRow(`The row of memento ${timeline}-${sequence} is missing`);
  }
  const { commit, slot, nonce, removedBy } = slotOf(row);
  const [header, entry] = packOf(row, timeline, sequence);
  if (id !== `${timeline}-${sequence}-${nonce}`) {
    // Another memento has the place, unless the commit says that this one has it.
    if (entry.id !== id) return null;
    throw damagedRow(`The row of memento ${id} has another id than its commit ${commit}`);
  }
  return { slot, header, body: nullable(row, "body", bytesOf), removed: removedBy !== 0 };
}

/** What is known of a memento's pack without its body, by the same rules as `readMemento`. */
export function glanceAt(statements: Statements, id: string): PackGlance | null {
  const place = parseMementoId(id);
  const row = place && statements.glance.get(place.timeline, place.sequence);
  // Another memento's place, or none: reading throws where there should be one.
  if (place === undefined || row === undefined || slotOf(row).nonce !== id.slice(id.lastIndexOf("-") + 1)) {
    readMemento(statements, id);
    return null;
  }
  const { slot, removedBy } = slotOf(row);
  const [header] = packOf(row, place.timeline, place.sequence);
  const bodyBytes = nullable(row, "body_bytes", numberOf);
  return { slot, removed: removedBy !== 0, headerDigest: sha256(header), bodyBytes };
}

/** The header of a commit's row; DAMAGED when it is not readable, or not the one that was there when its pack was reclaimed. */
export function headerOf(row: Row, commit: number): CommitHeader {
  const bytes = bytesOf(row, "header");
  const digest = nullable(row, "header_digest", textOf);
  if (digest !== null && digest !== sha256(bytes)) throw damagedRow(`The header of commit ${commit} was changed`);
  return decodeHeader(bytes, `commit ${commit}`);
}

/** The row of a memento's place, without its commit; null when there is none. */
export function readSlot(statements: Statements, timeline: string, sequence: number): Slot | null {
  const row = statements.slot.get(timeline, sequence);
  return row === undefined ? null : slotOf(row);
}

/** Reads rows of one commit. Those that are not sorted in yet are read together: each alone would be looked for among all of them. */
function slotsOfCommit(statements: Statements, commit: number): (entry: MementoEntry) => Slot | null {
  let recent: Map<string, Slot> | null = null;
  const recentOf = (): Map<string, Slot> => {
    const rows = statements.recentOf.all(commit);
    return new Map(rows.map((row) => [`${textOf(row, "timeline")}-${numberOf(row, "sequence")}`, slotOf(row)]));
  };
  return ({ timeline, sequence }) => {
    const sorted = statements.sortedSlot.get(timeline, sequence);
    if (sorted !== undefined) return slotOf(sorted);
    recent ??= recentOf();
    // Another connection may have sorted it in between the two looks.
    return recent.get(`${timeline}-${sequence}`) ?? readSlot(statements, timeline, sequence);
  };
}

/** The slots of a pack that were appended, with their entries; none for a notice. */
export function acceptedSlots(
  statements: Statements,
  commit: number,
  header: CommitHeader,
): readonly { readonly entry: MementoEntry; readonly index: number; readonly slot: Slot }[] {
  if (header.type !== "pack") return [];
  const slotAt = slotsOfCommit(statements, commit);
  return header.entries.flatMap((entry, index) => {
    const slot = slotAt(entry);
    return slot !== null && slot.commit === commit && slot.slot === index ? [{ entry, index, slot }] : [];
  });
}

function rowsOfCommit(
  statements: Statements,
  row: Row,
  wanted: (entry: MementoEntry, slot: number) => boolean,
): readonly LogRow[] {
  const commit = numberOf(row, "id");
  const header = headerOf(row, commit);
  if (header.type !== "pack") return [];
  const packBytes = bytesOf(row, "header").byteLength + (nullable(row, "body_bytes", numberOf) ?? 0);
  const slotAt = slotsOfCommit(statements, commit);
  return header.entries.flatMap((entry, slot) => {
    if (!wanted(entry, slot)) return [];
    const stored = slotAt(entry);
    if (stored === null || stored.commit !== commit || stored.slot !== slot) return [];
    return [{ commit, slot, entry, packBytes, removed: stored.removedBy !== 0 }];
  });
}

function rowOfPlace(timeline: string, row: Row): LogRow {
  const { commit, slot, removedBy } = slotOf(row);
  const [header, entry] = packOf(row, timeline, numberOf(row, "sequence"));
  const packBytes = header.byteLength + (nullable(row, "body_bytes", numberOf) ?? 0);
  return { commit, slot, entry, packBytes, removed: removedBy !== 0 };
}

/** The header of a place's commit, and the entry of its slot; DAMAGED unless they belong together. */
function packOf(row: Row, timeline: string, sequence: number): readonly [Uint8Array, MementoEntry] {
  const { commit, slot } = slotOf(row);
  const bytes = nullable(row, "header", bytesOf);
  if (bytes === null) throw damagedRow(`Commit ${commit}, which holds memento ${timeline}-${sequence}, is missing`);
  const header = headerOf(row, commit);
  const entry = header.type === "pack" ? header.entries[slot] : undefined;
  if (entry?.timeline === timeline && entry.sequence === sequence) return [bytes, entry];
  throw damagedRow(`Slot ${slot} of commit ${commit} is not memento ${timeline}-${sequence}`);
}

function slotOf(row: Row): Slot {
  return {
    commit: numberOf(row, "commit_id"),
    slot: numberOf(row, "slot"),
    nonce: textOf(row, "nonce"),
    removedBy: numberOf(row, "removal"),
  };
}

function isBehind(row: LogPosition, after: LogPosition | null, ascending: boolean): boolean {
  if (after === null) return true;
  const distance = row.commit - after.commit || row.slot - after.slot;
  return ascending ? distance > 0 : distance < 0;
}
