import { numberOf } from "../../../store/sql/rows.ts";
import { writesInForce } from "../way-back.ts";
import { type Entry, readEntries } from "./journal.ts";
import type { Stream } from "./stream.ts";
import type { Workspace } from "./workspace.ts";

/** A write of another timeline or sink into the same table. */
export interface Claim extends Entry {
  /** The columns by which that one names its rows. */
  readonly key: readonly string[];
}

/**
 * The writes of others into the table since `commit` that they have not reverted: a row that they wrote is theirs, even if
 * what they wrote is what stood there. Known as far back as their journals reach.
 */
export async function readClaims(work: Workspace, stream: Stream, commit: number): Promise<readonly Claim[]> {
  const { session, dialect, target } = work;
  const others = await session.all(
    `SELECT s.id, s.identity, s.position, s.oldest FROM ${dialect.books("streams")} AS s
      JOIN ${dialect.books("entries")} AS latest ON latest.stream = s.id AND latest.position = s.position
      WHERE s.target = ? AND s.id <> ${stream.id} AND latest.commit_number > ${commit}`,
    target.name,
  );
  const claims: Claim[] = [];
  for (const row of others) {
    const key = JSON.parse(String(row["identity"])) as string[];
    const oldest = numberOf(row, "oldest");
    const entries = await readEntries(work, numberOf(row, "id"), oldest);
    for (const entry of writesInForce(entries, oldest, numberOf(row, "position")))
      if (entry.commit > commit) claims.push(Object.assign({ key }, entry));
  }
  return claims;
}
