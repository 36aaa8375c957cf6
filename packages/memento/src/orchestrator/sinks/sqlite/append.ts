import type { StatementSync } from "node:sqlite";

import { MementoError } from "../../../core/errors.ts";
import { isRefusedData, refusalOf } from "./failures.ts";
import { type Block, BLOCK_ROWS } from "./functions.ts";
import { addBlock, addEntry, currentShape, packRowids } from "./journal.ts";
import { listNames } from "./names.ts";
import { RowBinder } from "./rows.ts";
import type { Stream } from "./stream.ts";
import { checkedColumns, type Workspace } from "./workspace.ts";

/** Throws RECORD_INVALID naming the row where the engine refused it; anything else as it is. */
export function throwRefused(error: unknown, index: number): never {
  if (!isRefusedData(error)) throw error;
  const item = `rows[${index}]`;
  throw new MementoError("RECORD_INVALID", `${item} was refused: ${refusalOf(error)}`, {
    cause: error,
    details: { item },
  });
}

/**
 * Adds rows to a table whose rows are found by rowid, and records them at `position`: rowids as ranges, and 8 bytes of check
 * for each row as it was stored. Returns how many rows there are now that were not there before; a trigger may drop some.
 */
export async function appendRows(
  work: Workspace,
  stream: Stream,
  position: number,
  rows: readonly unknown[],
): Promise<number> {
  const { database, target, written } = work;
  const shape = currentShape(database, target);
  const insert = database.prepare(
    // OR ABORT overrules an ON CONFLICT clause of the table's own, which could silently replace somebody else's row.
    `INSERT OR ABORT INTO ${target.sql} (${listNames(written.map(({ name }) => name))}) VALUES (${written.map(() => "?").join(", ")})`,
  );
  const binder = new RowBinder(written, []);
  let rowids = new BigInt64Array(rows.length);
  let count = 0;
  for (let index = 0; index < rows.length; index++) {
    binder.bind(rows[index], index);
    const rowid = insertRow(insert, binder, index);
    if (rowid !== null) rowids[count++] = rowid;
    if (index % BLOCK_ROWS === BLOCK_ROWS - 1) await work.pace();
  }
  rowids = rowids.subarray(0, count);
  if (!isRising(rowids)) rowids.sort();
  for (const [index, block] of packRowids(rowids).entries()) {
    putChecks(work, block, checkedColumns(target, shape));
    addBlock(database, stream, position, index, block);
    if (index > 0) await work.pace();
  }
  addEntry(database, stream, {
    position,
    kind: "packed",
    shape: shape.id,
    first: 0,
    last: -1,
    back: null,
    complete: true,
  });
  return count;
}

function insertRow(insert: StatementSync, binder: RowBinder, index: number): bigint | null {
  try {
    const { changes, lastInsertRowid } = insert.run(...binder.values);
    return changes === 0n ? null : (lastInsertRowid as bigint);
  } catch (error) {
    return throwRefused(error, index);
  }
}

function isRising(rowids: BigInt64Array): boolean {
  for (let index = 1; index < rowids.length; index++) {
    if ((rowids[index - 1] ?? 0n) >= (rowids[index] ?? 0n)) return false;
  }
  return true;
}

/** Reads the block's rows as they are stored now, triggers and affinities included, and puts their checks into it. */
function putChecks(work: Workspace, block: Block, columns: string): void {
  const { database, target, functions } = work;
  functions.block = block;
  const rowid = `t.${target.rowid}`;
  if (block.rowids === null) {
    database
      .prepare(
        `SELECT count(memento_put(${rowid} - ?, ${columns})) FROM ${target.sql} AS t WHERE ${rowid} BETWEEN ? AND ?`,
      )
      .get(block.first, block.first, block.first + BigInt(block.count - 1));
    return;
  }
  database
    .prepare(
      `SELECT count(memento_put(m.i, ${columns})) FROM temp.memento_numbers AS m
       CROSS JOIN ${target.sql} AS t ON ${rowid} = memento_item(m.i) WHERE m.i < ?`,
    )
    .get(block.count);
}
