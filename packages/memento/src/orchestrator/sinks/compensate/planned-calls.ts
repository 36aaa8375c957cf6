import type { CallRow } from "./journal.ts";

/** What a call that is not made yet is made of. */
type PlannedCall = Pick<CallRow, "rows" | "count">;

/** Cuts rows, each as JSON, into calls. */
export function planCalls(rows: readonly string[], rowsPerCall = Math.max(rows.length, 1)): PlannedCall[] {
  const calls: PlannedCall[] = [];
  for (let start = 0; start < rows.length; start += rowsPerCall) {
    const slice = rows.slice(start, start + rowsPerCall);
    calls.push({ rows: `[${slice.join(",")}]`, count: slice.length });
  }
  return calls;
}

/**
 * The rows of a batch that comes again for which no call was made, or may have been: those that are left without the rows of such
 * calls. Where code has changed these rows too, or gives a row another time each time it runs, each call stands for the rows at its
 * place. null where the batch has another number of rows by now, and so no place says what it did.
 */
export function rowsLeft(calls: readonly CallRow[], rows: readonly string[]): string[] | null {
  return withoutThoseOf(calls.filter(isBound), rows) ?? atPlacesOfPlanned(calls, rows);
}

const isBound = ({ state }: CallRow): boolean => state !== "planned";

function withoutThoseOf(bound: readonly CallRow[], rows: readonly string[]): string[] | null {
  const taken = new Map<string, number>();
  for (const call of bound) {
    // An earlier release kept no rows of a call that could not be taken back.
    if (call.rows === null) return null;
    for (const row of (JSON.parse(call.rows) as unknown[]).map((each) => JSON.stringify(each)))
      taken.set(row, (taken.get(row) ?? 0) + 1);
  }
  const left = rows.filter((row) => {
    const count = taken.get(row) ?? 0;
    if (count === 1) taken.delete(row);
    else if (count > 1) taken.set(row, count - 1);
    return count === 0;
  });
  return taken.size === 0 ? left : null;
}

function atPlacesOfPlanned(calls: readonly CallRow[], rows: readonly string[]): string[] | null {
  const left: (readonly string[])[] = [];
  let place = 0;
  for (const call of calls) {
    if (!isBound(call)) left.push(rows.slice(place, place + call.count));
    place += call.count;
  }
  return place === rows.length ? left.flat() : null;
}
