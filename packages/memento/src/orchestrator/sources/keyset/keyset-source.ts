import { isDeepStrictEqual } from "node:util";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Json, JsonObject } from "../../../core/json.ts";
import { throwIfCancelled, unlessCancelled } from "../cancellation.ts";
import { checkBatchRecords, ONLY_PARTITION, onlyOffset } from "../file/file-source.ts";
import type {
  ReadOptions,
  Source,
  SourceBatch,
  SourceContext,
  SourceInspection,
  SourceOffset,
  SourceOffsets,
} from "../source.ts";

/** The values of the columns that give rows their order, as JSON that stands for each exactly. */
export type KeyValues = readonly Json[];

/** Rows in their order. */
export interface KeysetPage<Row> {
  readonly records: readonly Row[];
  /** The key of each. */
  readonly keys: readonly KeyValues[];
}

/** A table or collection that was opened, whose rows are in the order of their keys; no two have the same. */
export interface KeysetReader<Row> {
  /** False for a key that no row can have given, such as one that was written by hand. */
  fits(key: KeyValues): boolean;
  /** The first rows behind a key; null is the beginning. Once the signal fires, nobody waits for the answer any more. */
  page(after: KeyValues | null, limit: number, signal: AbortSignal): Promise<KeysetPage<Row>>;
  /** How many rows stand behind one key, up to another one; null is the beginning, or the end. */
  count(after: KeyValues | null, upTo: KeyValues | null): Promise<number>;
  /** How many rows have a key, as the engine compares: of texts that it takes for the same, each counts. */
  alike(key: KeyValues): Promise<number>;
  close(): Promise<void>;
}

/** What a source by keys is made of. */
export interface KeysetParts<Row> {
  readonly kind: string;
  readonly schemaVersion: string;
  readonly describe: () => string;
  /** What is read, wherever it lies: a table's name. Offsets say it, with the columns, and are no places in anything else. */
  readonly what: string;
  readonly open: () => Promise<KeysetReader<Row>>;
  /** The columns that make a key. */
  readonly columns: readonly string[];
  /** True: a row that is changed moves towards the end. */
  readonly moves: boolean;
  /** True: no row before an offset is ever added or taken away, and one that was is SOURCE_MOVED. */
  readonly onlyGrows: boolean;
}

/** So many rows are asked for at once, or those of one batch. */
const PAGE_ROWS = 1_000;

interface Place {
  readonly after: KeyValues;
  readonly records: number;
}

/**
 * A source of rows in the order of their keys. Offsets are `{ after, records, of }`: the key of the last row, how many were read, and
 * of what, by which columns. One without `of`, as earlier releases have made them, is taken for one into whatever is read.
 */
export class KeysetSource<Row> implements Source<Row> {
  readonly kind: string;
  readonly schemaVersion: string;
  readonly #parts: KeysetParts<Row>;
  /** `orders by updated_at, id`. */
  readonly #of: string;
  #reader: Promise<KeysetReader<Row>> | null = null;

  constructor(parts: KeysetParts<Row>) {
    this.kind = parts.kind;
    this.schemaVersion = parts.schemaVersion;
    this.#parts = parts;
    this.#of = `${parts.what} by ${parts.columns.join(", ")}`;
  }

  describe(): string {
    return this.#parts.describe();
  }

  async open(_context: SourceContext): Promise<void> {
    await this.#opened();
  }

  async *read({ from, batchRecords, signal }: ReadOptions): AsyncGenerator<SourceBatch<Row>> {
    checkBatchRecords(batchRecords);
    const place = this.#placeOf(from);
    throwIfCancelled(signal, this.describe());
    const reader = await this.#opened();
    await this.#checkPlace(reader, place);
    await this.#checkGrowth(reader, place);
    const limit = batchRecords * Math.ceil(PAGE_ROWS / batchRecords);
    let after = place?.after ?? null;
    let records = place?.records ?? 0;
    for (;;) {
      throwIfCancelled(signal, this.describe());
      // One more: the first row of the next page may have the key of the last one of this page.
      const page = await unlessCancelled(reader.page(after, limit + 1, signal), signal, this.describe());
      const count = Math.min(limit, page.records.length);
      await this.#checkKeys(reader, page.keys, count);
      for (let index = 0; index < count; index += batchRecords) {
        const part = page.records.slice(index, Math.min(index + batchRecords, count));
        after = page.keys[index + part.length - 1] ?? after;
        records += part.length;
        yield { records: part, partition: ONLY_PARTITION, offset: { after, records, of: this.#of } };
      }
      if (page.records.length <= limit) return;
    }
  }

  async inspect(from: SourceOffsets, to: SourceOffsets): Promise<SourceInspection> {
    let recordsBetween: number | null = null;
    try {
      const begin = this.#placeOf(from);
      // An end that is a place in other rows counts those.
      const isOther = this.#otherOf(to) !== null;
      const end = isOther ? null : this.#placeOf(to);
      const count = (end?.records ?? 0) - (begin?.records ?? 0);
      recordsBetween = isOther || count < 0 ? null : count;
      const reader = await this.#opened();
      await this.#checkPlace(reader, begin);
      this.#checkFit(reader, end);
      await this.#checkGrowth(reader, begin);
      if (count > 0) {
        // Where rows move towards the end, those that were read may stand behind the place that was read to.
        const there = await reader.count(begin?.after ?? null, this.#parts.moves ? null : (end?.after ?? null));
        if (there < count) throw this.#gone(count - there, count);
      }
      return { available: true, problem: "", recordsBetween };
    } catch (error) {
      if (!ANSWERS.some((code) => isMementoError(error, code))) throw error;
      return { available: false, problem: (error as MementoError).message, recordsBetween };
    }
  }

  async close(): Promise<void> {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) return;
    // One that could not be opened has nothing to close, and was told of when it was opened.
    const opened = await reader.catch(() => null);
    await opened?.close();
  }

  async #opened(): Promise<KeysetReader<Row>> {
    const reader = (this.#reader ??= this.#parts.open());
    try {
      return await reader;
    } catch (error) {
      if (this.#reader === reader) this.#reader = null;
      throw error;
    }
  }

  async #checkGrowth(reader: KeysetReader<Row>, place: Place | null): Promise<void> {
    if (!this.#parts.onlyGrows || place === null) return;
    const there = await reader.count(null, place.after);
    if (there === place.records) return;
    const message = `${this.describe()} has ${there} rows up to the last one that was read, and ${place.records} were read`;
    throw new MementoError("SOURCE_MOVED", message, {
      details: { rows: there, read: place.records },
      hint: "Rows came late or were removed: roll back to before them, or read without onlyGrows.",
    });
  }

  #checkFit(reader: KeysetReader<Row>, place: Place | null): void {
    if (place !== null && !reader.fits(place.after)) throw this.#foreign();
  }

  /** Of rows that have the key of the last one that was read, who knows which was read. */
  async #checkPlace(reader: KeysetReader<Row>, place: Place | null): Promise<void> {
    this.#checkFit(reader, place);
    if (place !== null && (await reader.alike(place.after)) > 1) throw this.#alike(place.after);
  }

  /** Rows with the same key have no order, and one of them would be passed over where a page or batch ends between them. */
  async #checkKeys(reader: KeysetReader<Row>, keys: readonly KeyValues[], count: number): Promise<void> {
    const twice = keys.find((key, index) => isSame(key, keys[index + 1]));
    if (twice !== undefined) throw this.#alike(twice);
    const [last, next] = [keys[count - 1], keys[count]];
    if (last === undefined || next === undefined || !mayBeSame(last, next)) return;
    if ((await reader.alike(last)) > 1) throw this.#alike(last);
  }

  #alike(key: KeyValues): MementoError {
    const { columns } = this.#parts;
    const named = columns.map((column, index) => `${column} ${valueText(key[index] ?? null)}`).join(", ");
    const message = `${this.describe()} has more than one row with ${named}: one of them would be passed over`;
    const hint = `Add a column to the key, so that no two rows have it alike; it is ${columns.join(", ")} now.`;
    return new MementoError("INVALID_ARGUMENT", message, { details: { columns: [...columns] }, hint });
  }

  #gone(gone: number, count: number): MementoError {
    const message = `${this.describe()} no longer has ${gone} of the ${count} rows that were read from there on`;
    return new MementoError("SOURCE_RANGE_GONE", message, { details: { gone, read: count } });
  }

  #placeOf(offsets: SourceOffsets): Place | null {
    const offset: SourceOffset | null = onlyOffset(this.describe(), offsets);
    if (offset === null) return null;
    const other = this.#otherOf(offsets);
    if (other !== null) throw this.#moved(other);
    const { after, records } = (typeof offset === "object" ? offset : {}) as JsonObject;
    const isKey = Array.isArray(after) && after.length === this.#parts.columns.length;
    if (isKey && typeof records === "number" && Number.isSafeInteger(records) && records >= 0)
      return { after, records };
    throw this.#foreign();
  }

  /** What an offset is a place in, where that is something else than what is read; else null. */
  #otherOf(offsets: SourceOffsets): string | null {
    const { of } = (onlyOffset(this.describe(), offsets) ?? {}) as JsonObject;
    return typeof of === "string" && of !== this.#of ? of : null;
  }

  #moved(other: string): MementoError {
    const message = `the offset is a place in ${other}, and ${this.#of} is read now (${this.describe()})`;
    const hint =
      "Read what was read before, or roll back to before it. Where each run has a table of its own, give each a partition (--partition). Where the place holds all the same, `memento edit head --unset` the offset's `of`.";
    return new MementoError("SOURCE_MOVED", message, { details: { read: other, reads: this.#of }, hint });
  }

  #foreign(): MementoError {
    return new MementoError(
      "SOURCE_MOVED",
      `the offset is not one into ${this.describe()}: it was read by other columns, or set by hand`,
    );
  }
}

function isSame(a: KeyValues, b: KeyValues | undefined): boolean {
  return a.every((value, at) => value === b?.[at] || (typeof value === "object" && isDeepStrictEqual(value, b?.[at])));
}

/** Compares letters without their case and marks, so that it takes what a database's collation may take for the same. */
const LETTERS = new Intl.Collator("und", { sensitivity: "base" });

/** True where an engine may take two keys for the same: by a collation, or a number for another way to write it. */
function mayBeSame(a: KeyValues, b: KeyValues): boolean {
  return a.every((value, at) => {
    const other = b[at];
    if (typeof value !== "string" || typeof other !== "string") return isDeepStrictEqual(value, other);
    return LETTERS.compare(value.trimEnd(), other.trimEnd()) === 0 || Number(value) === Number(other);
  });
}

function valueText(value: Json): string {
  const { integer, number } = (value ?? {}) as Partial<Record<string, Json>>;
  const text = integer ?? number ?? value;
  return (typeof text === "string" ? text : JSON.stringify(text)).slice(0, 80);
}

/** What stands against reading again; a table that is gone, or has other columns, is a statement that the server refuses. */
const ANSWERS = ["SOURCE_MOVED", "SOURCE_RANGE_GONE", "INPUT_MISSING", "PLACE_MISSING", "INVALID_ARGUMENT"] as const;
