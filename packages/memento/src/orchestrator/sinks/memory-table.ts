import { isDeepStrictEqual } from "node:util";

import { randomText } from "../../core/ids.ts";
import { type Random, systemRandom } from "../../core/ports.ts";
import type { ForeignChange } from "./sink.ts";
import { type HistoryStep, wayBack, writesInForce } from "./way-back.ts";

/** A row, or null for none. */
type Image<Row> = Row | null;

/** What one position did to one row. */
export interface RowChange<Row> {
  readonly item: string;
  readonly before: Image<Row>;
  readonly after: Image<Row>;
}

/** What one position did. */
export interface MemoryStep<Row> extends HistoryStep {
  readonly changes: readonly RowChange<Row>[];
  /** Its place in the order of all positions of the table. */
  readonly commit: number;
}

/** What going back does to one row, or what somebody else did to it. */
export interface RowMove<Row> extends RowChange<Row> {
  readonly alien: ForeignChange["change"] | null;
}

/** What is known of a row between now and a mark. */
interface NetRow<Row> {
  /** The image at the mark. */
  readonly first: Image<Row>;
  /** The image that our writes found after somebody else's last one in between. */
  before: Image<Row>;
  after: Image<Row>;
  claimed: boolean;
}

interface TakenToken {
  readonly records: number;
  readonly events: { readonly position: number; readonly live: boolean }[];
}

/** What one sink of one timeline did to a table. */
export class MemoryBooks<Row> {
  epoch = 0;
  oldest = 0;
  position = 0;
  /** The positions after `oldest`. */
  steps: MemoryStep<Row>[] = [];
  readonly tokens = new Map<string, TakenToken>();
  readonly reverts = new Map<string, unknown>();

  /** The position at which `token` was last taken; null when it was not, or was forgotten. */
  takenAt(token: string): number | null {
    const last = this.tokens.get(token)?.events.at(-1);
    return last?.live === true ? last.position : null;
  }

  take(token: string, records: number): void {
    const events = this.tokens.get(token)?.events ?? [];
    events.push({ position: this.position, live: true });
    this.tokens.set(token, { records, events });
  }

  /** Makes the tokens what they were at `mark`; returns the records of those that are forgotten. */
  restoreTokens(mark: number): number {
    let records = 0;
    for (const token of this.tokens.values()) {
      const was = token.events.findLast(({ position }) => position <= mark)?.live ?? false;
      if (was === token.events.at(-1)?.live) continue;
      token.events.push({ position: this.position, live: was });
      if (!was) records += token.records;
    }
    return records;
  }

  trim(mark: number): void {
    this.steps = this.steps.filter(({ position }) => position > mark);
    this.oldest = mark;
  }
}

/** Rows in memory, for `memorySink`: what a database is for others. Several sinks may share one. */
export class MemoryTable<Row> {
  /** The table's own name, which no other one has. */
  readonly place: string;
  readonly #items = new Map<string, Row>();
  readonly #books = new Map<string, MemoryBooks<Row>>();
  #lastNumber = 0;
  #commits = 0;

  constructor(random: Random = systemRandom) {
    this.place = randomText(random, 12);
  }

  /** Copies of the rows, in the order in which they came. */
  get rows(): Row[] {
    return [...this.#items.values()].map((row) => structuredClone(row));
  }

  /** Copies of the rows by the names that the sink gives them: `0`, `1` and so on, or their keys. */
  get items(): ReadonlyMap<string, Row> {
    return structuredClone(this.#items);
  }

  /** Puts a row there, or takes it out with null, past every sink: as somebody else would. */
  set(item: string, row: Image<Row>): void {
    if (row === null) this.#items.delete(item);
    else this.#items.set(item, structuredClone(row));
  }

  /** The row of that name, not copied; null where there is none. */
  get(item: string): Image<Row> {
    return this.#items.get(item) ?? null;
  }

  /** A name that no row has. */
  nextItem(): string {
    while (this.#items.has(String(this.#lastNumber))) this.#lastNumber += 1;
    return String(this.#lastNumber++);
  }

  /** The books of one sink of one timeline, made at the first call. */
  books(timeline: string, sink: string): MemoryBooks<Row> {
    const name = JSON.stringify([timeline, sink]);
    let books = this.#books.get(name);
    if (books === undefined) this.#books.set(name, (books = new MemoryBooks()));
    return books;
  }

  /** Does the changes as the next position of `books`. */
  commit(books: MemoryBooks<Row>, changes: readonly RowChange<Row>[], back: number | null, complete: boolean): void {
    for (const { item, after } of changes) this.set(item, after);
    books.position += 1;
    this.#commits += 1;
    books.steps.push({ position: books.position, changes, back, complete, commit: this.#commits });
  }

  /** What going back to `mark` does, row by row, and which rows others have changed since. */
  movesTo(books: MemoryBooks<Row>, mark: number, force: boolean): RowMove<Row>[] {
    const moves: RowMove<Row>[] = [];
    for (const [item, { first, before, after, claimed }] of this.#netOf(books, mark)) {
      const now = this.get(item);
      const isOurs = isDeepStrictEqual(now, after) && !(claimed && now !== null);
      const left = isOurs ? before : now;
      const alien = isOurs ? brokenBy(before, first) : changeOf(now, after);
      if (alien !== null || !isDeepStrictEqual(now, left))
        moves.push({ item, before: now, after: force ? first : left, alien });
    }
    return moves;
  }

  #netOf(books: MemoryBooks<Row>, mark: number): Map<string, NetRow<Row>> {
    const net = new Map<string, NetRow<Row>>();
    const way = wayBack(books.steps.slice(mark - books.oldest), mark, books.position) ?? [];
    const claims = [...this.#books.values()]
      .filter((other) => other !== books)
      .flatMap((other) => writesInForce(other.steps, other.oldest, other.position));
    for (const step of [...way, ...claims].toSorted((a, b) => a.commit - b.commit)) {
      for (const { item, before, after } of step.changes) {
        const known = net.get(item);
        if (claims.includes(step)) {
          if (known !== undefined) known.claimed = true;
        } else if (known === undefined) net.set(item, { first: before, before, after, claimed: false });
        else {
          if (known.claimed || !isDeepStrictEqual(known.after, before)) known.before = before;
          known.after = after;
          known.claimed = false;
        }
      }
    }
    return net;
  }
}

/** What somebody else did who found `left` there, and there is `now`; the same row written again is a change too. */
function changeOf(now: unknown, left: unknown): ForeignChange["change"] {
  if (left === null) return "taken";
  return now === null ? "deleted" : "changed";
}

/** What somebody else did between our writes; null where that makes no difference to where the row goes. */
function brokenBy(before: unknown, first: unknown): ForeignChange["change"] | null {
  if (isDeepStrictEqual(before, first)) return null;
  return before === null ? "deleted" : "changed";
}
