import { TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
import type { SinkDatabase } from "./database.ts";
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
export function findToken(database: SinkDatabase, stream: Stream, token: string): TakenToken | null {
  const row = database
    .prepare(
      `SELECT position, kind, live, records, result FROM main.memento_sink_tokens
       WHERE stream = ? AND token = ? ORDER BY position DESC LIMIT 1`,
    )
    .get(stream.id, token);
  if (row === undefined || row["live"] !== 1n) return null;
  const { position, kind, records, result } = row;
  return {
    position: Number(position),
    kind: kind === "revert" ? "revert" : "write",
    records: Number(records),
    result: typeof result === "string" ? result : null,
  };
}

/** Takes `token` at `position`. */
export function takeToken(database: SinkDatabase, stream: Stream, token: string, taken: TakenToken): void {
  database
    .prepare(
      `INSERT INTO main.memento_sink_tokens (stream, token, position, kind, live, records, result)
       VALUES (?, ?, ?, ?, 1, ?, ?)`,
    )
    .run(stream.id, token, taken.position, taken.kind, taken.records, taken.result);
}

/**
 * Makes the tokens of writes what they were at position `mark`: those taken since are forgotten, and those that a revert
 * forgot since are taken again, for their data is back. Recorded at `position`. Tokens of reverts stay taken. Returns the
 * source records of the writes that are forgotten.
 */
export function restoreTokens(database: SinkDatabase, stream: Stream, mark: number, position: number): number {
  const { id } = stream;
  const moved = database
    .prepare(
      `INSERT INTO main.memento_sink_tokens (stream, token, position, kind, live, records)
       SELECT moved.stream, moved.token, :position, 'write', moved.was, moved.records
       FROM (
         SELECT t.stream, t.token, max(t.records) AS records,
           ifnull((SELECT live FROM main.memento_sink_tokens w
                   WHERE w.stream = t.stream AND w.token = t.token AND w.position <= :mark
                   ORDER BY w.position DESC LIMIT 1), 0) AS was,
           (SELECT live FROM main.memento_sink_tokens n
            WHERE n.stream = t.stream AND n.token = t.token ORDER BY n.position DESC LIMIT 1) AS now
         FROM main.memento_sink_tokens t
         WHERE t.stream = :id AND t.position > :mark AND t.kind = 'write'
         GROUP BY t.stream, t.token
       ) AS moved WHERE moved.was <> moved.now
       RETURNING live, records`,
    )
    .all({ id, mark, position });
  return moved.reduce((sum, { live, records }) => (live === 0n ? sum + Number(records) : sum), 0);
}

/** Forgets the tokens up to position `mark`, but for those of the newest positions. */
export function trimTokens(database: SinkDatabase, stream: Stream, mark: number): void {
  database
    .prepare("DELETE FROM main.memento_sink_tokens WHERE stream = ? AND position <= ?")
    .run(stream.id, Math.min(mark, stream.position - TOKEN_POSITIONS_KEPT));
}
