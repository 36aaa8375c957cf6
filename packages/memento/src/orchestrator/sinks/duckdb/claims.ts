import { writesInForce } from "../way-back.ts";
import type { Workspace } from "./connection.ts";
import { type Entry, imageColumn, imageTable, readEntries, type Shape } from "./journal.ts";
import { listNames, quoteName } from "./names.ts";
import { identityText, type Stream } from "./stream.ts";

/** A write of another timeline or sink into the same table. */
export interface Claim extends Entry {
  /** The columns by which that one names its rows. */
  readonly key: readonly string[];
}

/**
 * The writes of others into the table since `entry` that they have not reverted: a row that they wrote is theirs, even if
 * what they wrote is what stood there. Known as far back as their journals reach.
 */
export async function readClaims({ session, target }: Workspace, stream: Stream, entry: number): Promise<Claim[]> {
  const others = await session.all(
    `SELECT id, identity, position, oldest FROM ${session.books("streams")} AS s WHERE target = $1 AND id <> $2
       AND EXISTS (SELECT 1 FROM ${session.books("entries")} AS e WHERE e.stream = s.id AND e.entry > $3)`,
    [target.label, stream.id, entry],
  );
  const claims: Claim[] = [];
  for (const row of others) {
    const key = JSON.parse(String(row["identity"])) as string[];
    const [id, oldest, position] = [Number(row["id"]), Number(row["oldest"]), Number(row["position"])];
    const entries = await readEntries(session, id, oldest + 1, position);
    const since = writesInForce(entries, oldest, position).filter((write) => write.entry > entry);
    claims.push(...since.map((write) => Object.assign({ key }, write)));
  }
  return claims;
}

/** The rows of some claims of one shape, by the columns that we name rows by: `entry, k0, k1, ...`. */
export function claimedRows({ session, target }: Workspace, shape: Shape, claims: readonly Claim[]): string {
  const [first] = claims;
  const list = claims.map(({ entry }) => entry).join(", ");
  const from = `FROM ${imageTable(session, shape)} AS r`;
  if (first === undefined || JSON.stringify(first.key) === identityText(target)) {
    const keys = target.key.map(({ name, type }, index) => {
      const column = imageColumn(shape, name);
      return `${column === null ? "NULL" : `CAST(r.${column} AS ${type})`} AS k${index}`;
    });
    return `SELECT r.entry, ${keys.join(", ")} ${from} WHERE r.entry IN (${list})`;
  }
  // Who names rows otherwise is known by the rows that are there.
  const keys = target.key.map(({ name }, index) => `t.${quoteName(name)} AS k${index}`);
  const theirs = first.key.map((name) => `t.${listNames([name])} = r.${imageColumn(shape, name) ?? "entry"}`);
  return `SELECT r.entry, ${keys.join(", ")} ${from} JOIN ${target.sql} AS t ON ${theirs.join(" AND ")} WHERE r.entry IN (${list})`;
}
