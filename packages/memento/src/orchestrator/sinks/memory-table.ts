import { isDeepStrictEqual } from "node:util";

import { randomText } from "../../core/ids.ts";
import { type Random, systemRandom } from "../../core/ports.ts";

/** A row that was written, or that stood there before: null for none. */
type Image<Row> = Row | null;

/** What one row went through at one position. */
interface RowChange<Row> {
  readonly item: string;
  readonly before: Image<Row>;
  readonly after: Image<Row>;
}

/** A token's story: taken at one position, perhaps forgotten or taken again at a later one. */
interface TokenEvent {
  readonly position: number;
  readonly live: boolean;
}

interface TakenToken {
  readonly records: number;
  readonly events: TokenEvent[];
}

/** What a revert does to one row. */
export interface RowMove<Row> extends RowChange<Row> {
  /** What somebody else did to it; null where it is as it was written. */
  readonly alien: "changed" | "deleted" | "taken" | null;
}

/** What one sink of one timeline did to a table. */
export class MemoryBooks<Row> {
  epoch = 0;
  oldest = 0;
  /** One entry for each position, from 1 on; trimmed ones are empty. */
  readonly entries: (readonly RowChange<Row>[])[] = [];
  readonly tokens = new Map<string, TakenToken>();
  readonly reverts = new Map<string, unknown>();

  get position(): number {
    return this.entries.length;
  }

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
    for (let position = this.oldest; position < mark; position++) this.entries[position] = [];
    this.oldest = mark;
  }
}

/** Rows in memory, for `memorySink`: what a database is for others. Several sinks may share one. */
export class MemoryTable<Row> {
  readonly #items = new Map<string, Row>();
  readonly #books = new Map<string, MemoryBooks<Row>>();
  #lastNumber = 0;
  /** The table's own name, which no other one has. */
  readonly place: string;

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
  set(item: string, row: Row | null): void {
    if (row === null) this.#items.delete(item);
    else this.#items.set(item, structuredClone(row));
  }

  /** The row of that name, not copied; null where there is none. */
  get(item: string): Image<Row> {
    return this.#items.get(item) ?? null;
  }

  /** A name that no row has had. */
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

  /** What going back to `mark` would do, row by row; rows that would stay as they are and were not changed are left out. */
  movesTo(books: MemoryBooks<Row>, mark: number): RowMove<Row>[] {
    const net = new Map<string, { first: Image<Row>; last: Image<Row> }>();
    for (const change of books.entries.slice(mark).flat()) {
      const known = net.get(change.item);
      if (known === undefined) net.set(change.item, { first: change.before, last: change.after });
      else known.last = change.after;
    }
    const moves: RowMove<Row>[] = [];
    for (const [item, { first, last }] of net) {
      const before = this.get(item);
      const alien = isDeepStrictEqual(before, last)
        ? null
        : last === null
          ? "taken"
          : before === null
            ? "deleted"
            : "changed";
      if (alien !== null || !isDeepStrictEqual(before, first)) moves.push({ item, before, after: first, alien });
    }
    return moves;
  }
}
