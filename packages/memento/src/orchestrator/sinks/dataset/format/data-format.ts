import type { Columns } from "./columns.ts";

/** Rows on their way into a file. */
export interface RowSlice {
  /** The whole batch; errors name rows by their place in it. */
  readonly rows: readonly unknown[];
  readonly from: number;
  readonly to: number;
}

/** One kind of data file. */
export interface DataFormat {
  /** How file names end. */
  readonly ending: string;
  /** False: rows need no columns that were agreed on. */
  readonly needsColumns: boolean;
  /**
   * The bytes of a file that holds these rows, a chunk at a time. RECORD_INVALID and UNSUPPORTED_VALUE name the row that
   * cannot be kept.
   */
  encode(slice: RowSlice, columns: Columns | null): AsyncIterable<Uint8Array>;
  /** The bytes of one file that holds the rows of several, in their order, from theirs; all were written with these columns. */
  merge(files: readonly Uint8Array[], columns: Columns | null): AsyncIterable<Uint8Array>;
}

/** Rows that are turned into text before other work has a turn. */
export const TURN_ROWS = 8_192;

/** Lets timers and signals through in the middle of a large batch. */
export async function takeTurn(): Promise<void> {
  await new Promise((resolve) => void setImmediate(resolve));
}

/** Makes chunks of text, each from at most `TURN_ROWS` rows. */
export async function* textChunks(
  { rows, from, to }: RowSlice,
  text: (row: unknown, index: number) => string,
): AsyncGenerator<Uint8Array> {
  for (let start = from; start < to; start += TURN_ROWS) {
    const end = Math.min(to, start + TURN_ROWS);
    let chunk = "";
    for (let index = start; index < end; index++) chunk += text(rows[index], index);
    yield Buffer.from(chunk);
    if (end < to) await takeTurn();
  }
}
