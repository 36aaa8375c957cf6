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

/** True for another's write among our own entries. */
export function isClaim(entry: Entry | Claim): entry is Claim {
  return "key" in entry;
}

/**
 * The writes of others into the table since `commit` that they have not reverted: a row that they wrote is theirs, even if
 * what they wrote is what stood there. Known as far back as their journals reach.
 */
export function readClaims({ database, target }: Workspace, stream: Stream, commit: number): Claim[] {
  const others = database
    .prepare(
      `SELECT s.id, s.identity, s.position, s.oldest FROM main.memento_sink_streams AS s
       JOIN main.memento_sink_entries AS latest ON latest.stream = s.id AND latest.position = s.position
       WHERE s.target = ? AND s.id <> ? AND latest.commit_number > ?`,
    )
    .all(target.table, stream.id, commit);
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

/** Marks the rows of the net that the other's write touched. */
export async function markClaims(work: Workspace, claim: Claim, shape: Shape): Promise<void> {
  if (claim.kind === "packed") await markPacked(work, claim);
  else await markRows(work, claim, shape);
}

/** True where both find their rows by the same columns; else a row is known only as long as it is there. */
function sameIdentity({ target: { identity } }: Workspace, { key }: Claim): boolean {
  if (identity.kind === "rowid") return key === null;
  return JSON.stringify(key) === JSON.stringify(identity.columns.map(({ name }) => name));
}

async function markPacked(work: Workspace, claim: Claim): Promise<void> {
  const { database, functions, target } = work;
  const items = itemColumns(target);
  const isSame = sameIdentity(work, claim);
  const rows = isSame
    ? "SELECT memento_item(m.i) FROM temp.memento_numbers AS m"
    : `SELECT ${prefixed("t", items.target)} FROM temp.memento_numbers AS m
       CROSS JOIN ${target.sql} AS t ON t.${target.rowid} = memento_item(m.i)`;
  const mark = database.prepare(
    `UPDATE temp.memento_net SET claimed = 1 WHERE ${asRow(items.net)} IN (${rows} WHERE m.i < ?)`,
  );
  const overlaps = database.prepare("SELECT 1 FROM temp.memento_net WHERE n BETWEEN ? AND ? LIMIT 1");
  for (let index = 0; ; index++) {
    const block = readBlock(database, claim, index);
    if (block === null) return;
    const last = block.first + BigInt(block.count - 1);
    if (isSame && block.rowids === null && overlaps.get(block.first, last) === undefined) continue;
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
  const rows = sameIdentity(work, claim)
    ? `SELECT ${prefixed("r", images)} FROM ${imageTable(shape)} AS r`
    : `SELECT ${prefixed("t", items.target)} FROM ${imageTable(shape)} AS r
       CROSS JOIN ${target.sql} AS t ON ${matching("t", theirs, "r", images)}`;
  const mark = database.prepare(
    `UPDATE temp.memento_net SET claimed = 1 WHERE ${asRow(items.net)} IN (${rows} WHERE r.id BETWEEN ? AND ?)`,
  );
  for (let from = claim.first; from <= claim.last; from += SLICE_ROWS) {
    mark.run(from, Math.min(from + SLICE_ROWS - 1, claim.last));
    await work.pace();
  }
}

function prefixed(prefix: string, columns: readonly string[]): string {
  return columns.map((column) => `${prefix}.${column}`).join(", ");
}

function asRow(columns: readonly string[]): string {
  return columns.length === 1 ? String(columns[0]) : `(${columns.join(", ")})`;
}
