import type { ParquetScan } from "hyparquet";

import type { GroupPlace, OpenRow, ParquetColumn } from "./parquet-column.ts";

/** A column of lists, maps or structs. Its values are put together for a whole row group at once, and held so long. */
export class NestedColumn implements ParquetColumn {
  readonly name: string;
  filled = 0;
  readonly #scan: ParquetScan;
  readonly #read: (value: unknown) => unknown;
  #values: ArrayLike<unknown> = [];
  #at = 0;

  /** @param read Makes a row's value of one that `scan` gave. */
  constructor(name: string, scan: ParquetScan, read: (value: unknown) => unknown) {
    this.name = name;
    this.#scan = scan;
    this.#read = read;
  }

  async enter({ group, firstRow, skip }: GroupPlace): Promise<void> {
    const rows = Number(group.num_rows);
    this.#values = [];
    this.#values = await this.#scan.readColumn({ column: this.name, rowStart: firstRow, rowEnd: firstRow + rows });
    if (this.#values.length !== rows)
      throw new Error("parquet column has not as many values as its row group has rows");
    this.#at = skip;
  }

  async fill(rows: readonly OpenRow[], from: number, to: number): Promise<void> {
    for (const row of rows.slice(from, to)) {
      row[this.name] = this.#read(this.#values[this.#at]);
      this.#at += 1;
    }
    this.filled = to - from;
    await Promise.resolve();
  }
}
