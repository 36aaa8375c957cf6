import { writesInForce } from "../way-back.ts";
import { type Entry, imageColumn, imageTable, readBlock, readEntries, type Shape } from "./journal.ts";
import { quoteName } from "./names.ts";
import type { Stream } from "./stream.ts";
import { itemColumns, matching, SLICE_ROWS, type Workspace } from "./workspace.ts";

/** A write of another timeline or sink into the same table. */
export interface Claim extends Entry {
  /** The columns by which that one names its rows; null for the rowid. */
  readonly key: readonly string[] | null;
}

/**
 * The writes of others into the table since `commit` that they have not reverted: a row that they wrote is theirs, even if
 * what they wrote is what stood there. Known as far back as their journals reach.
 */
export function readClaims({ database, target }: Workspace, stream: Stream, commit: number): Claim[] {
  const others = database
    .prepare("SELECT id, identity, position, oldest FROM main.memento_sink_streams WHERE target = ? AND id <> ?")
    .all(target.table, stream.id);
  return others.flatMap((row) => {
    const identity = String(row["identity"]);
    const key = identity === "rowid" ? null : (JSON.parse(identity) as string[]);
    const oldest = Number(row["oldest"]);
    const entries = readEntries(database, Number(row["id"]), oldest + 1, Number(row["position"]));
    return writesInForce(entries, oldest, Number(row["position"]))
      .filter((entry) => entry.commit > commit)
      .map((entry) => Object.assign({ key }, entry));
  });
}

/** Marks the rows of the net that the other's write touched, and that are there. */
export async function markClaims(work: Workspace, claim: Entry, shape: Shape): Promise<void> {
  if (claim.kind === "packed") await markPacked(work, claim);
  else await markRows(work, claim as Claim, shape);
}

async function markPacked(work: Workspace, claim: Entry): Promise<void> {
  const { database, functions, target } = work;
  const items = itemColumns(target);
  const overlaps = database.prepare("SELECT 1 FROM temp.memento_net WHERE n BETWEEN ? AND ? LIMIT 1");
  const mark = database.prepare(
    `UPDATE temp.memento_net SET claimed = 1 WHERE ${inRows(items.net)} IN (
       SELECT ${prefixed("t", items.target)} FROM temp.memento_numbers AS m
       CROSS JOIN ${target.sql} AS t ON t.${target.rowid} = memento_item(m.i) WHERE m.i < ?)`,
  );
  for (let index = 0; ; index++) {
    const block = readBlock(database, claim, index);
    if (block === null) return;
    const last = block.first + BigInt(block.count - 1);
    const apart =
      target.identity.kind === "rowid" && block.rowids === null && overlaps.get(block.first, last) === undefined;
    if (apart) continue;
    functions.block = block;
    mark.run(block.count);
    await work.pace();
  }
}

async function markRows(work: Workspace, claim: Claim, shape: Shape): Promise<void> {
  const { database, target } = work;
  const items = itemColumns(target);
  const theirs = claim.key?.map(quoteName) ?? [target.rowid ?? "rowid"];
  const images = claim.key?.map((name) => imageColumn(shape, name)) ?? ["item"];
  const mark = database.prepare(
    `UPDATE temp.memento_net SET claimed = 1 WHERE ${inRows(items.net)} IN (
       SELECT ${prefixed("t", items.target)} FROM ${imageTable(shape)} AS r
       CROSS JOIN ${target.sql} AS t ON ${matching("t", theirs, "r", images)} WHERE r.id BETWEEN ? AND ?)`,
  );
  for (let from = claim.first; from <= claim.last; from += SLICE_ROWS) {
    mark.run(from, Math.min(from + SLICE_ROWS - 1, claim.last));
    await work.pace();
  }
}

function prefixed(prefix: string, columns: readonly string[]): string {
  return columns.map((column) => `${prefix}.${column}`).join(", ");
}

function inRows(columns: readonly string[]): string {
  return columns.length === 1 ? String(columns[0]) : `(${columns.join(", ")})`;
}
