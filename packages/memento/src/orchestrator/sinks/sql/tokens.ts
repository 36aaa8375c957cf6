import { numberOf } from "../../../store/sql/rows.ts";
import { TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
import { firstRow } from "./session.ts";
import type { Stream } from "./stream.ts";
import type { Workspace } from "./workspace.ts";

/** A token that was taken. */
export interface TakenToken {
  readonly position: number;
  readonly kind: "write" | "revert";
  /** Source records that the write stands for; 0 for a revert. */
  readonly records: number;
  /** What the revert did, as JSON text; null for a write. */
  readonly result: string | null;
}

/** What became of `token`; null when it was never taken, or was forgotten with its data. */
export async function findToken(
  { session, dialect }: Workspace,
  stream: Stream,
  token: string,
): Promise<TakenToken | null> {
  const row = await firstRow(
    session,
    `SELECT position, kind, live, records, result FROM ${dialect.books("tokens")}
      WHERE stream = ${stream.id} AND token = ? ORDER BY position DESC LIMIT 1`,
    token,
  );
  if (row === undefined || numberOf(row, "live") !== 1) return null;
  const { kind, result } = row;
  return {
    position: numberOf(row, "position"),
    kind: kind === "revert" ? "revert" : "write",
    records: numberOf(row, "records"),
    result: typeof result === "string" ? result : null,
  };
}

/** Takes `token` at `position`. */
export async function takeToken(
  { session, dialect }: Workspace,
  stream: Stream,
  token: string,
  { position, kind, records, result }: TakenToken,
): Promise<void> {
  await session.run(
    `INSERT INTO ${dialect.books("tokens")} (stream, token, position, kind, live, records, result)
      VALUES (${stream.id}, ?, ${position}, '${kind}', 1, ${records}, ?)`,
    token,
    result,
  );
}

/**
 * Makes the tokens of writes what they were at position `mark`: those taken since are forgotten, and those that a revert
 * forgot since are taken again, for their data is back. Recorded at `position`. Tokens of reverts stay taken. Returns the
 * source records of the writes that are forgotten.
 */
export async function restoreTokens(work: Workspace, stream: Stream, mark: number, position: number): Promise<number> {
  const { session, dialect } = work;
  const tokens = dialect.books("tokens");
  const lastLive = (upTo: string): string =>
    `(SELECT w.live FROM ${tokens} w WHERE w.stream = t.stream AND w.token = t.token${upTo} ORDER BY w.position DESC LIMIT 1)`;
  await session.run(
    `INSERT INTO ${tokens} (stream, token, position, kind, live, records)
      SELECT moved.stream, moved.token, ${position}, 'write', moved.was, moved.records
      FROM (
        SELECT t.stream, t.token, t.records, coalesce(${lastLive(` AND w.position <= ${mark}`)}, 0) AS was,
          ${lastLive("")} AS latest
        FROM (
          SELECT stream, token, max(records) AS records FROM ${tokens}
          WHERE stream = ${stream.id} AND position > ${mark} AND kind = 'write' GROUP BY stream, token
        ) AS t
      ) AS moved WHERE moved.was <> moved.latest`,
  );
  const row = await firstRow(
    session,
    `SELECT coalesce(sum(records), 0) AS records FROM ${tokens}
      WHERE stream = ${stream.id} AND position = ${position} AND kind = 'write' AND live = 0`,
  );
  return Number(row?.["records"]);
}

/** Forgets the tokens up to position `mark`, but for those of the newest positions. */
export async function trimTokens({ session, dialect }: Workspace, stream: Stream, mark: number): Promise<void> {
  const upTo = Math.min(mark, stream.position - TOKEN_POSITIONS_KEPT);
  await session.run(`DELETE FROM ${dialect.books("tokens")} WHERE stream = ${stream.id} AND position <= ${upTo}`);
}
