import { TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
import type { DuckdbSession } from "./session.ts";
import type { Stream } from "./stream.ts";

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
export async function findToken(session: DuckdbSession, stream: Stream, token: string): Promise<TakenToken | null> {
  const row = await session.get(
    `SELECT position, kind, live, records, result FROM ${session.books("tokens")}
     WHERE stream = $1 AND token = $2 ORDER BY position DESC LIMIT 1`,
    [stream.id, token],
  );
  if (row === null || row["live"] !== true) return null;
  const { position, kind, records, result } = row;
  return {
    position: Number(position),
    kind: kind === "revert" ? "revert" : "write",
    records: Number(records),
    result: typeof result === "string" ? result : null,
  };
}

/** Takes `token` at `position`. */
export async function takeToken(
  session: DuckdbSession,
  stream: Stream,
  token: string,
  taken: TakenToken,
): Promise<void> {
  await session.run(`INSERT INTO ${session.books("tokens")} VALUES ($1, $2, $3, $4, true, $5, $6)`, [
    stream.id,
    token,
    taken.position,
    taken.kind,
    taken.records,
    taken.result,
  ]);
}

/**
 * Makes the tokens of writes what they were at position `mark`: those taken since are forgotten, and those that a revert
 * forgot since are taken again, for their data is back. Recorded at `position`. Tokens of reverts stay taken. Returns the
 * source records of the writes that are forgotten.
 */
export async function restoreTokens(
  session: DuckdbSession,
  stream: Stream,
  mark: number,
  position: number,
): Promise<number> {
  const tokens = session.books("tokens");
  const moved = await session.all(
    `INSERT INTO ${tokens}
     SELECT $1::BIGINT, token, $3::BIGINT, 'write', was, records, NULL FROM (
       SELECT token, max(records) FILTER (WHERE position > $2) AS records,
         coalesce(arg_max(live, position) FILTER (WHERE position <= $2), false) AS was, arg_max(live, position) AS now
       FROM ${tokens} WHERE stream = $1 AND kind = 'write'
       GROUP BY token HAVING max(position) > $2
     ) WHERE was <> now
     RETURNING live, records`,
    [stream.id, mark, position],
  );
  return moved.reduce((sum, { live, records }) => (live === false ? sum + Number(records) : sum), 0);
}

/** Forgets the tokens up to position `mark`, but for those of the newest positions. */
export async function trimTokens(session: DuckdbSession, stream: Stream, mark: number): Promise<void> {
  await session.run(`DELETE FROM ${session.books("tokens")} WHERE stream = $1 AND position <= $2`, [
    stream.id,
    Math.min(mark, stream.position - TOKEN_POSITIONS_KEPT),
  ]);
}
