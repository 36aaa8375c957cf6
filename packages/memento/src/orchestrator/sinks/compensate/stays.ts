import type { StayingRecords } from "../sink.ts";

/** The rows of a write that stay. */
export interface StayingWrite {
  readonly token: string;
  readonly rows: number;
}

const ITEMS_NAMED_MAX = 100;

/** Names what stays by its tokens, those that follow one another as one range: `orders:0:load:3..7 (40 rows)`. */
export function staysOf(writes: readonly StayingWrite[]): StayingRecords {
  const ranges: { readonly line: string; readonly first: string; last: string; rows: number }[] = [];
  for (const { token, rows } of writes) {
    if (rows === 0) continue;
    const at = token.lastIndexOf(":");
    const [line, number] = at === -1 ? ["", token] : [token.slice(0, at + 1), token.slice(at + 1)];
    const latest = ranges.at(-1);
    const follows = latest?.line === line && [0, 1].includes(Number(number) - Number(latest.last));
    if (latest === undefined || !follows) ranges.push({ line, first: number, last: number, rows });
    else {
      latest.last = number;
      latest.rows += rows;
    }
  }
  const items = ranges.slice(0, ITEMS_NAMED_MAX).map(({ line, first, last, rows }) => {
    return `${line}${first === last ? first : `${first}..${last}`} (${rows} ${rows === 1 ? "row" : "rows"})`;
  });
  return { total: writes.reduce((sum, { rows }) => sum + rows, 0), items };
}
