import type { DatabaseSync } from "node:sqlite";

import { RowCheck } from "./row-check.ts";

/** The most rows of one packed block of the journal. */
export const BLOCK_ROWS = 8_192;

/** Bytes of one row's check, and of one packed rowid. */
const WORD_BYTES = 8;

/** The packed block that the SQL functions below read and write: rowids that follow one another, or one by one. */
export interface Block {
  readonly first: bigint;
  readonly count: number;
  /** 8 bytes a row; null where the rowids are `first`, `first + 1`, and so on. */
  readonly rowids: DataView | null;
  readonly checks: DataView;
}

/** An empty block of `count` checks. */
export function newBlock(first: bigint, count: number, rowids: DataView | null): Block {
  return { first, count, rowids, checks: new DataView(new ArrayBuffer(count * WORD_BYTES)) };
}

/** The rowid at `index` of a block. */
function rowidAt(block: Block, index: number): bigint {
  return block.rowids === null ? block.first + BigInt(index) : block.rowids.getBigInt64(index * WORD_BYTES, true);
}

/**
 * The SQL functions that the sink's statements use, so that rows are checked inside the database's own scans:
 * `memento_check(columns...)` gives a row's check, `memento_put(index, columns...)` puts it into the current block,
 * `memento_item(index)` and `memento_at(index)` read rowid and check from it.
 */
export class CheckFunctions {
  /** The block that `memento_put`, `memento_item` and `memento_at` work on. */
  block: Block = newBlock(0n, 0, null);

  /** Registers the functions on a connection; none of them can be called by its triggers or views. */
  constructor(database: DatabaseSync) {
    const check = new RowCheck();
    const options = { directOnly: true, useBigIntArguments: true };
    database.function("memento_check", { ...options, varargs: true }, (...values) => {
      check.update(values, 0);
      return check.current();
    });
    database.function("memento_put", { ...options, varargs: true }, (index, ...values) => {
      check.update(values, 0);
      check.writeTo(this.block.checks, Number(index) * WORD_BYTES);
      return 1;
    });
    database.function("memento_item", options, (index) => rowidAt(this.block, Number(index)));
    database.function("memento_at", options, (index) =>
      this.block.checks.getBigInt64(Number(index) * WORD_BYTES, true),
    );
  }
}
