import { inspect, isDeepStrictEqual } from "node:util";

import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { type MemoryBooks, MemoryTable, type RowMove } from "./memory-table.ts";
import { demandKept, markOf, positionOf } from "./position-mark.ts";
import type {
  ForeignChange,
  Sink,
  SinkContext,
  SinkInspection,
  SinkMark,
  SinkReverted,
  SinkSupports,
  SinkWrite,
  SinkWritten,
} from "./sink.ts";

/** What `memorySink` takes. */
export interface MemorySinkOptions<Row> {
  /** Where the rows go; a table of its own by default. Sinks that share one are as sinks into one database. */
  readonly table?: MemoryTable<Row>;
  /** What names a row: a row of a key that is there already replaces it. Without it, every row is added. */
  readonly key?: (row: Row) => string;
}

/** A sink into memory. */
export interface MemorySink<Row> extends Sink<Row> {
  readonly table: MemoryTable<Row>;
}

const FOREIGN_NAMED_MAX = 100;

/**
 * A sink into an array in memory, for tests and examples: the whole contract, and nothing outlives the process. Rows are
 * whatever `structuredClone` copies; another one is UNSUPPORTED_VALUE, and nothing of its batch is written.
 */
export function memorySink<Row = unknown>(options: MemorySinkOptions<Row> = {}): MemorySink<Row> {
  return new ArraySink(options);
}

class ArraySink<Row> implements MemorySink<Row> {
  readonly kind = "memory";
  readonly supports: SinkSupports = { revert: "rows", foreignChanges: true, tokens: true };
  readonly table: MemoryTable<Row>;
  readonly #key: ((row: Row) => string) | null;
  #books: MemoryBooks<Row> | null = null;

  constructor({ table, key }: MemorySinkOptions<Row>) {
    this.table = table ?? new MemoryTable();
    this.#key = key ?? null;
  }

  describe(): string {
    return "rows in memory";
  }

  async open({ timeline, name }: SinkContext): Promise<void> {
    this.#books = this.table.books(timeline, name);
  }

  async place(): Promise<string> {
    return this.#opened().position === 0 ? "" : this.table.place;
  }

  async fence(epoch: number): Promise<void> {
    this.#admit(epoch);
  }

  async mark(): Promise<SinkMark> {
    return markOf(this.#opened().position);
  }

  async write(rows: readonly Row[], { epoch, token, records = 0 }: SinkWrite): Promise<SinkWritten> {
    const books = this.#admit(epoch);
    const taken = books.takenAt(token);
    if (taken !== null) return { rows: 0, duplicate: true, mark: markOf(taken) };
    const copies = rows.map((row, index) => copyOf(row, index));
    const items = copies.map((row) => this.#key?.(row) ?? this.table.nextItem());
    const latest = new Map<string, Row>();
    const changes = copies.map((after, index) => {
      const item = items[index] ?? "";
      const before = latest.get(item) ?? this.table.get(item);
      latest.set(item, after);
      return { item, before, after };
    });
    this.table.commit(books, changes, null, true);
    books.take(token, records);
    return { rows: rows.length, duplicate: false, mark: markOf(books.position) };
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const books = this.#opened();
    const position = positionOf(mark, books.position, this.describe());
    const trimmed = position < books.oldest;
    const moves = trimmed ? [] : this.table.movesTo(books, position, false);
    const { removed: remove, restored: restore } = count(moves);
    const foreign = this.#foreign(moves);
    const fingerprint = sha256(
      JSON.stringify([position, books.position, books.oldest, remove, restore, foreign, contents(moves)]),
    );
    const oldest = markOf(books.oldest);
    const named = foreign.slice(0, FOREIGN_NAMED_MAX);
    return { remove, restore, foreign: named, foreignTotal: foreign.length, trimmed, oldest, fingerprint };
  }

  async revertTo(
    mark: SinkMark,
    { epoch, token }: SinkWrite,
    options: { readonly force: boolean },
  ): Promise<SinkReverted> {
    const books = this.#admit(epoch);
    const done = books.reverts.get(token);
    if (done !== undefined) return done as SinkReverted;
    const position = positionOf(mark, books.position, this.describe());
    demandKept(position, books.oldest, this.describe());
    if (books.position === 0) return { removed: 0, restored: 0, records: 0, kept: [], mark: null };
    const moves = this.table.movesTo(books, position, options.force);
    const foreign = this.#foreign(moves);
    const changes = moves.filter(isMove);
    this.table.commit(books, changes, position, options.force || foreign.length === 0);
    const records = books.restoreTokens(position);
    const kept = options.force ? [] : foreign.slice(0, FOREIGN_NAMED_MAX);
    const reverted = { ...count(moves), records, kept, mark: markOf(books.position) };
    books.reverts.set(token, reverted);
    return reverted;
  }

  async trim(oldest: SinkMark): Promise<void> {
    const books = this.#opened();
    const position = positionOf(oldest, books.position, this.describe());
    if (position > books.oldest) books.trim(position);
  }

  async close(): Promise<void> {
    this.#books = null;
  }

  #foreign(moves: readonly RowMove<Row>[]): ForeignChange[] {
    const named = (item: string): string => `rows[${this.#key === null ? item : JSON.stringify(item)}]`;
    return moves.flatMap(({ item, alien }) => (alien === null ? [] : [{ item: named(item), change: alien }]));
  }

  #opened(): MemoryBooks<Row> {
    if (this.#books !== null) return this.#books;
    throw new MementoError("STORE_CLOSED", `The sink into ${this.describe()} is not open`);
  }

  #admit(epoch: number): MemoryBooks<Row> {
    const books = this.#opened();
    if (epoch < books.epoch) {
      throw new MementoError("FENCED", `The sink is held with epoch ${books.epoch}, and epoch ${epoch} was offered`);
    }
    books.epoch = epoch;
    return books;
  }
}

function copyOf<Row>(row: Row, index: number): Row {
  try {
    return structuredClone(row);
  } catch (cause) {
    throw new MementoError("UNSUPPORTED_VALUE", `rows[${index}] holds a value that cannot be copied`, { cause });
  }
}

function isMove({ before, after }: RowMove<unknown>): boolean {
  return !isDeepStrictEqual(before, after);
}

function count(moves: readonly RowMove<unknown>[]): { removed: number; restored: number } {
  const changes = moves.filter(isMove);
  const restored = changes.filter(({ after }) => after !== null).length;
  return { removed: changes.length - restored, restored };
}

/** What stands in the place of rows that somebody else changed, as text that differs whenever it does. */
function contents(moves: readonly RowMove<unknown>[]): string {
  const rows = moves.flatMap(({ before, alien }) => (alien === null ? [] : [before]));
  return inspect(rows, { depth: null, maxArrayLength: null, maxStringLength: null });
}
