import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { decodeHeader, type CommitHeader } from "../header.ts";
import { matchesQuery, type MementoQuery } from "../query.ts";
import type { LogPosition, LogRow, LogRows } from "../scan.ts";
import type { StoredCommit, StoredMemento } from "../store.ts";
import { bodyOf } from "./bodies.ts";
import type { StoreCalls } from "./calls.ts";
import { damaged } from "./failure.ts";
import { COMMITS, LAST, LINE_PAGE, PAGE, PLACES, READ } from "./lua/reads.ts";
import { commitOf, numberOf, placeOf, type CommitRow, type Place } from "./rows.ts";

/** Pages start small, because most queries want the newest few. */
const PAGE_COMMITS_MIN = 8;
const PAGE_COMMITS_MAX = 256;
const PAGE_BYTES = 1024 * 1024;
const READ_TRIES = 10;

/** A commit as a page gives it. */
export interface PagedCommit {
  readonly commit: number;
  /** null: it is missing. */
  readonly row: Buffer | null;
  /** Of a body that lies in one piece, where bodies were asked for. */
  readonly body: unknown;
}

/** Commits from a number on; `last` is the number of the last one there is. */
export async function readPage(
  calls: StoreCalls,
  from: number,
  step: 1 | -1,
  count: number,
  withBodies = false,
): Promise<{ readonly last: number; readonly commits: readonly PagedCommit[] }> {
  const args = [from, step, count, PAGE_BYTES, withBodies ? 1 : 0].map(String);
  const { rest } = await calls.read(PAGE, [], args);
  const commits: PagedCommit[] = [];
  for (let at = 1; at < rest.length; at += 3) {
    commits.push({ commit: Number(rest[at]), row: rest[at + 1] as Buffer | null, body: rest[at + 2] });
  }
  return { last: Number(rest[0]), commits };
}

/** The number of the last commit. */
export async function readLast(calls: StoreCalls): Promise<number> {
  return Number((await calls.read(LAST, [], [])).rest[0]);
}

/** A commit's row and its header; DAMAGED when it is missing, or not what was written. */
export function headerOf(commit: number, row: Buffer | null): readonly [CommitRow, CommitHeader] {
  if (row === null) throw damaged(`Commit ${commit} is missing from the log`);
  const read = commitOf(commit, row);
  if (!read.isWhole) throw damaged(`The header of commit ${commit} was changed`);
  const header = decodeHeader(read.header, `commit ${commit}`);
  const slots = header.type === "pack" ? header.entries.length : undefined;
  if (slots !== read.pack?.slots) throw damaged(`Commit ${commit} is of another kind than its row says`);
  return [read, header];
}

/** The slots of a pack that were appended, with their entries; none for a notice. */
export function acceptedEntries(
  { pack }: CommitRow,
  header: CommitHeader,
): readonly { readonly slot: number; readonly entry: MementoEntry }[] {
  if (header.type !== "pack") return [];
  const slots = pack?.accepted ?? header.entries.keys();
  return [...slots].flatMap((slot) => {
    const entry = header.entries[slot];
    return entry === undefined ? [] : [{ slot, entry }];
  });
}

/** Where these mementos lie; null for one that has no place. */
export async function readPlaces(
  calls: StoreCalls,
  entries: readonly { readonly timeline: string; readonly sequence: number }[],
): Promise<readonly (Place | null)[]> {
  if (entries.length === 0) return [];
  const args = entries.flatMap(({ timeline, sequence }) => [timeline, String(sequence)]);
  const [places] = (await calls.read(PLACES, [], args)).rest as [(Buffer | null)[]];
  return places.map((place) => (place === null ? null : placeOf(place)));
}

/** Finds a memento's pack by its id; null when there is no such memento, DAMAGED when there should be one. */
export async function readMemento(calls: StoreCalls, id: string): Promise<StoredMemento | null> {
  const parts = parseMementoId(id);
  if (parts === undefined) return null;
  const { timeline, sequence } = parts;
  const { keys } = calls;
  for (let tries = 0; tries < READ_TRIES; tries++) {
    const [top, place, row, inline] = (
      await calls.read(READ, [keys.places(timeline, sequence), keys.timeline(timeline)], [String(sequence)])
    ).rest as (Buffer | null | undefined)[];
    if (place === undefined || place === null) {
      if (top === null || top === undefined || numberOf(String(top), "A head's sequence") < sequence) return null;
      throw damaged(`The place of memento ${timeline}-${sequence} is missing`);
    }
    const { commit, slot, nonce, removedBy } = placeOf(place);
    const [read, header] = headerOf(commit, row ?? null);
    const entry = header.type === "pack" ? header.entries[slot] : undefined;
    if (entry?.timeline !== timeline || entry.sequence !== sequence)
      throw damaged(`Slot ${slot} of commit ${commit} is not memento ${timeline}-${sequence}`);
    if (id !== `${timeline}-${sequence}-${nonce}`) {
      // Another memento has the place, unless the commit says that this one has it.
      if (entry.id !== id) return null;
      throw damaged(`The place of memento ${id} has another id than its commit ${commit}`);
    }
    if (entry.id !== id) throw damaged(`Slot ${slot} of commit ${commit} is not memento ${id}`);
    const body = await bodyOf(calls, read, inline);
    if (body !== undefined) return { slot, header: read.header, body, removed: removedBy !== 0 };
  }
  throw damaged(`Parts of the body of memento ${id} are missing`);
}

/** Reads the log of a store: page by page, so that nothing is held between two rows. */
export class RedisLog implements LogRows {
  readonly #calls: StoreCalls;
  /** The commits of the rows that were asked for last: the next ones are often of the same packs. What they say of their mementos never changes. */
  readonly #known = new Map<number, readonly [CommitRow, CommitHeader]>();

  constructor(calls: StoreCalls) {
    this.#calls = calls;
  }

  rows(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    return query.timeline === null ? this.#rowsOfAll(query, after) : this.#rowsOfTimeline(query, query.timeline, after);
  }

  async at(position: LogPosition): Promise<LogRow | null> {
    const [row] = await this.atEach([position]);
    return row ?? null;
  }

  async atEach(positions: readonly LogPosition[]): Promise<readonly (LogRow | null)[]> {
    const numbers = [...new Set(positions.map(({ commit }) => commit))];
    const unknown = numbers.filter((commit) => !this.#known.has(commit));
    if (unknown.length > 0) {
      const [found] = (await this.#calls.read(COMMITS, [], unknown.map(String))).rest as [(Buffer | null)[]];
      for (const [at, commit] of unknown.entries()) {
        const row = found[at] ?? null;
        if (row !== null) this.#known.set(commit, headerOf(commit, row));
      }
    }
    for (const commit of this.#known.keys()) if (!numbers.includes(commit)) this.#known.delete(commit);
    const wanted = new Set(positions.map(positionText));
    const rows = await this.#rowsOf([...this.#known.values()], (_, slot, commit) =>
      wanted.has(positionText({ commit, slot })),
    );
    const byPosition = new Map(rows.map((row) => [positionText(row), row]));
    return positions.map((position) => byPosition.get(positionText(position)) ?? null);
  }

  /** The log behind a commit. Bodies that are small come with their page, and others one at a time. */
  async *commits(after: number): AsyncIterable<StoredCommit> {
    let next = after + 1;
    for (let size = PAGE_COMMITS_MIN; ; size = Math.min(2 * size, PAGE_COMMITS_MAX)) {
      const { last, commits } = await readPage(this.#calls, next, 1, size, true);
      for (const page of commits) {
        yield await this.#stored(page);
        next = page.commit + 1;
      }
      if (next > last) return;
    }
  }

  async #stored(page: PagedCommit): Promise<StoredCommit> {
    let current: PagedCommit | undefined = page;
    for (let tries = 0; tries < READ_TRIES && current !== undefined; tries++) {
      const [row, header] = headerOf(current.commit, current.row);
      const accepted = acceptedEntries(row, header).map(({ slot }) => slot);
      const body = await bodyOf(this.#calls, row, current.body);
      if (body !== undefined) return { cursor: String(row.commit), header: row.header, body, accepted };
      [current] = (await readPage(this.#calls, page.commit, 1, 1, true)).commits;
    }
    throw damaged(`Parts of the body of commit ${page.commit} are missing`);
  }

  async *#rowsOfAll(query: MementoQuery, after: LogPosition | null): AsyncIterable<LogRow> {
    const step = query.order === "ascending" ? 1 : -1;
    // The commit of the cursor is read again: its other slots may still be due.
    let next = after?.commit ?? (step === 1 ? 1 : Number.MAX_SAFE_INTEGER);
    for (let size = PAGE_COMMITS_MIN; ; size = Math.min(2 * size, PAGE_COMMITS_MAX)) {
      const { last, commits } = await readPage(this.#calls, next, step, size);
      const { read, damage } = soundCommits(commits);
      const rows = await this.#rowsOf(read, (entry) => matchesQuery(query, entry));
      for (const row of step === 1 ? rows : rows.toReversed()) if (isBehind(row, after, step)) yield row;
      if (damage !== null) throw damage;
      next = (commits.at(-1)?.commit ?? next) + step;
      if (commits.length === 0 || next < 1 || next > last) return;
    }
  }

  /** The rows of some commits, in the order of the log. */
  async #rowsOf(
    commits: readonly (readonly [CommitRow, CommitHeader])[],
    wanted: (entry: MementoEntry, slot: number, commit: number) => boolean,
  ): Promise<readonly LogRow[]> {
    const found = commits
      .toSorted(([a], [b]) => a.commit - b.commit)
      .flatMap(([row, header]) => {
        const { commit } = row;
        const packBytes = row.header.byteLength + (row.pack?.bodyBytes ?? 0);
        return acceptedEntries(row, header)
          .filter(({ entry, slot }) => wanted(entry, slot, commit))
          .map(({ entry, slot }) => ({ commit, slot, entry, packBytes }));
      });
    const places = await readPlaces(
      this.#calls,
      found.map(({ entry }) => entry),
    );
    return found.map((row, index) => {
      const place = places[index];
      if (place?.commit !== row.commit || place.slot !== row.slot || !row.entry.id.endsWith(`-${place.nonce}`))
        throw damaged(
          `The place of memento ${row.entry.id} is missing, or is another one than commit ${row.commit} says`,
        );
      return { ...row, removed: place.removedBy !== 0 };
    });
  }

  async *#rowsOfTimeline(query: MementoQuery, timeline: string, after: LogPosition | null): AsyncIterable<LogRow> {
    const step = query.order === "ascending" ? 1 : -1;
    let next = step === 1 ? 1 : Number.MAX_SAFE_INTEGER;
    if (after !== null) next = (await this.#sequenceAt(timeline, after)) + step;
    const { keys } = this.#calls;
    for (let size = PAGE_COMMITS_MIN; ; size = Math.min(2 * size, PAGE_COMMITS_MAX)) {
      const args = [timeline, ...[next, step, size, PAGE_BYTES].map(String)];
      const { rest } = await this.#calls.read(LINE_PAGE, [keys.timeline(timeline)], args);
      let before: readonly [CommitRow, CommitHeader] | null = null;
      for (let at = 0; at < rest.length; at += 3) {
        const sequence = Number(rest[at]);
        const place = rest[at + 1] as Buffer | null;
        if (place === null) throw damaged(`The place of memento ${timeline}-${sequence} is missing`);
        const lies = placeOf(place);
        const row = rest[at + 2];
        before = typeof row === "number" && before !== null ? before : headerOf(lies.commit, row as Buffer | null);
        yield rowAt(timeline, sequence, lies, before);
        next = sequence + step;
      }
      if (rest.length === 0 || next < 1) return;
    }
  }

  async #sequenceAt(timeline: string, { commit, slot }: LogPosition): Promise<number> {
    const [page] = (await readPage(this.#calls, commit, 1, 1)).commits;
    const [, header] = page?.commit === commit ? headerOf(commit, page.row) : [];
    const entry = header?.type === "pack" ? header.entries[slot] : undefined;
    if (entry?.timeline === timeline) return entry.sequence;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The cursor is of another query: commit ${commit} is not of timeline ${timeline}`,
    );
  }
}

function rowAt(
  timeline: string,
  sequence: number,
  place: Place,
  [row, header]: readonly [CommitRow, CommitHeader],
): LogRow {
  const { commit, slot, removedBy } = place;
  const entry = header.type === "pack" ? header.entries[slot] : undefined;
  if (entry?.timeline !== timeline || entry.sequence !== sequence)
    throw damaged(`Slot ${slot} of commit ${commit} is not memento ${timeline}-${sequence}`);
  const packBytes = row.header.byteLength + (row.pack?.bodyBytes ?? 0);
  return { commit, slot, entry, packBytes, removed: removedBy !== 0 };
}

/** Commits up to the first that is damaged: what stands before it is given first. */
function soundCommits(commits: readonly PagedCommit[]): {
  readonly read: readonly (readonly [CommitRow, CommitHeader])[];
  readonly damage: MementoError | null;
} {
  const read: (readonly [CommitRow, CommitHeader])[] = [];
  for (const { commit, row } of commits) {
    try {
      read.push(headerOf(commit, row));
    } catch (error) {
      if (!isMementoError(error)) throw error;
      return { read, damage: error };
    }
  }
  return { read, damage: null };
}

const positionText = ({ commit, slot }: LogPosition): string => `${commit}.${slot}`;

function isBehind(row: LogPosition, after: LogPosition | null, step: 1 | -1): boolean {
  if (after === null) return true;
  return (row.commit - after.commit || row.slot - after.slot) * step > 0;
}
