import { damagedRow, nullable } from "../columns.ts";
import { numberOf } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** A batch of so many saves is of many timelines, and each of them has a page of the index of its own. Decision 23. */
export const MANY_RECORDS = 8;
/** So many rows are sorted in together: each of those pages is written once for several of them then. */
const RECENT_MAX = 1_024;

/** A memento's row, as a commit brings it. */
export interface NewPlace {
  readonly timeline: string;
  readonly sequence: number;
  readonly nonce: string;
  readonly slot: number;
}

/**
 * Inserts the rows of a commit, inside the caller's transaction. DAMAGED where a place is taken already: then the head by which it was
 * given out is not the last one.
 */
export function insertPlaces(statements: Statements, commit: number | bigint, places: readonly NewPlace[]): void {
  const insert = places.length < MANY_RECORDS ? statements.insertMemento : statements.insertRecent;
  for (const { timeline, sequence, nonce, slot } of places) {
    const { changes } = insert.run(timeline, sequence, nonce, commit, slot);
    if (changes !== 1) throw taken(timeline, sequence);
  }
}

const taken = (timeline: string, sequence: number): Error =>
  damagedRow(`Place ${sequence} of timeline ${timeline} is taken, and its head says that it is not`);

/** True once for so many rows that are not sorted in; to be asked after each batch, with the number of its records. */
export function isSortingDue(statements: Statements, records: number): boolean {
  if (records < MANY_RECORDS) return false;
  const last = nullable(statements.lastRecent.get() ?? {}, "last", numberOf) ?? 0;
  return Math.floor(last / RECENT_MAX) > Math.floor((last - records) / RECENT_MAX);
}

/**
 * Sorts the rows of the last batches of many saves into their table, in a transaction of its own: where a page of that table cannot
 * be read, it must not keep those from saving whose pages can. A row whose place is taken stays where it is, for a check to find.
 */
export function sortIn(statements: Statements): void {
  const rows = numberOf(statements.recents.get() ?? {}, "rows");
  if (rows === 0) return;
  const { changes } = statements.sortIn.run();
  if (changes === rows) statements.dropRecents.run();
  else statements.dropSorted.run();
}

/** Sorts in these rows alone, inside the caller's transaction; nothing is done for those that are. */
export function sortInThese(statements: Statements, places: readonly Omit<NewPlace, "slot">[]): void {
  if (numberOf(statements.recents.get() ?? {}, "rows") === 0) return;
  for (const { timeline, sequence, nonce } of places) {
    statements.sortInOne.run(timeline, sequence, nonce);
    statements.dropRecent.run(timeline, sequence, nonce);
  }
}
