import type { RowGroup } from "hyparquet";

/** A row that is being filled. */
export type OpenRow = Record<string, unknown>;

/** Where reading goes on in a table. */
export interface GroupPlace {
  readonly group: RowGroup;
  /** The table's row at which the group begins. */
  readonly firstRow: number;
  /** Rows of the group that are passed over. */
  readonly skip: number;
}

/** One column of a Parquet file, read from top to bottom. */
export interface ParquetColumn {
  readonly name: string;
  /** How many rows the last `fill` has given their value; less than asked for only where it threw. */
  readonly filled: number;
  enter(place: GroupPlace): Promise<void>;
  /** Gives the rows from `from` up to `to` their values; all of them are in the group that was entered. */
  fill(rows: readonly OpenRow[], from: number, to: number): Promise<void>;
}
