import type { MementoError } from "../../../core/errors.ts";
import type { SinkConnection, Workspace } from "./connection.ts";
import { isRefusedData, refusalOf } from "./failures.ts";
import { BATCH, boundColumns, castColumns, stage } from "./staging.ts";
import { refusedItem } from "./values.ts";
import { storeBatch, type WriteMode } from "./write.ts";

/**
 * Finds which row of a batch the engine refuses, after the batch was refused as a whole: by values that do not become their column's
 * type, else by storing ever shorter beginnings of the batch, each in a transaction that is rolled back. Returns the error to
 * throw: RECORD_INVALID naming the row.
 */
export async function refusedRow(
  connection: SinkConnection,
  mode: WriteMode,
  rows: readonly unknown[],
): Promise<MementoError> {
  const value = await connection.transaction("read", "RECORD_INVALID", async (work) => await refusedValue(work, rows));
  if (value !== null) return value;
  let refusal = "it was refused";
  let accepted = 0;
  let refused = rows.length;
  while (refused - accepted > 1) {
    const middle = (accepted + refused) >> 1;
    const said = await connection.transaction(
      "read",
      "RECORD_INVALID",
      async (work) => await tryRows(work, mode, rows, middle),
    );
    if (said === null) accepted = middle;
    else [refused, refusal] = [middle, said];
  }
  if (refused === rows.length) {
    refusal =
      (await connection.transaction(
        "read",
        "RECORD_INVALID",
        async (work) => await tryRows(work, mode, rows, refused),
      )) ?? refusal;
  }
  return refusedItem("RECORD_INVALID", `rows[${refused - 1}]`, `was refused: ${refusal}`);
}

async function refusedValue(work: Workspace, rows: readonly unknown[]): Promise<MementoError | null> {
  const columns = boundColumns(work.written);
  await stage(work, columns, rows);
  const casts = castColumns(columns);
  for (const [index, { column }] of columns.entries()) {
    const tried = (casts[index] ?? "").replaceAll("CAST(", "TRY_CAST(");
    const found = await work.session.get(
      `SELECT min(i) AS i FROM ${BATCH} WHERE v${index} IS NOT NULL AND (${tried}) IS NULL`,
    );
    if (typeof found?.["i"] !== "bigint") continue;
    return refusedItem("RECORD_INVALID", `rows[${found["i"]}].${column.name}`, `is no ${column.type}`);
  }
  return null;
}

/** What the engine says of the batch's first rows; null where it takes them. */
async function tryRows(
  work: Workspace,
  mode: WriteMode,
  rows: readonly unknown[],
  end: number,
): Promise<string | null> {
  await stage(work, boundColumns(work.written), rows.slice(0, end));
  try {
    await storeBatch(work, mode);
    return null;
  } catch (error) {
    if (!isRefusedData(error)) throw error;
    return refusalOf(error);
  }
}
