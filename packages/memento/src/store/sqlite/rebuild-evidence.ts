import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { nullable, textOf } from "../columns.ts";
import type { CommitHeader } from "../header.ts";
import { isLeap } from "../log-gap.ts";
import type { IndexAuthority } from "../store.ts";
import { headerOf } from "./log.ts";
import { numberOf, type Row } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** What a pack's header says of one memento, as far as the index repeats it. */
export interface Claim {
  readonly commit: number;
  readonly slot: number;
  readonly id: string;
  readonly timeline: string;
  readonly sequence: number;
  readonly parent: string | null;
  readonly caretaker: string;
  readonly name: string | undefined;
}

/** A genuine notice that removed mementos. */
export interface Removal {
  readonly commit: number;
  readonly count: number;
  readonly mementos: readonly string[];
}

/** Two commits of which the later one's number was changed: it stands too far above the other. */
interface Leap {
  readonly from: number;
  readonly to: number;
}

/** What the log says, read from its first commit to its last. */
export interface LogEvidence {
  /** By timeline and sequence number: who says that it was appended there. Refused slots say so too. */
  readonly claims: ReadonlyMap<string, readonly Claim[]>;
  readonly removals: readonly Removal[];
  /** Commits whose header does not read, or whose notice is not genuine. */
  readonly unreadable: ReadonlySet<number>;
  /** Numbers that have no commit. */
  readonly missing: readonly number[];
  readonly leaps: readonly Leap[];
  readonly lastNotice: number;
}

/** A memento's row. */
export interface PlaceRow {
  readonly timeline: string;
  readonly sequence: number;
  readonly nonce: string;
  readonly commit: number;
  readonly slot: number;
  readonly removedBy: number;
}

const ROWS_AT_ONCE = 100;

/** True for a commit of which nobody can say what it did: it does not read, or is not where it was. */
export function isSilent({ unreadable, missing, leaps }: LogEvidence, commit: number): boolean {
  return (
    unreadable.has(commit) || missing.includes(commit) || leaps.some(({ from, to }) => commit > from && commit < to)
  );
}

/** One text for each place of a timeline. */
export const placeText = (timeline: string, sequence: number): string => `${timeline}-${sequence}`;

/** Reads the log, inside the caller's transaction. */
export function readLog(statements: Statements, authority: IndexAuthority): LogEvidence {
  const claims = new Map<string, Claim[]>();
  const removals: Removal[] = [];
  const unreadable = new Set<number>();
  const missing: number[] = [];
  const leaps: Leap[] = [];
  let [last, lastNotice] = [0, 0];
  for (;;) {
    const page = statements.commitsAfter.all(last, ROWS_AT_ONCE);
    for (const row of page) {
      const id = numberOf(row, "id");
      if (isLeap(last, id)) leaps.push({ from: last, to: id });
      else for (let gap = last + 1; gap < id; gap++) missing.push(gap);
      last = id;
      const header = readableHeader(row, id);
      if (header === null || (header.type === "notice" && !authority.isGenuine(header))) unreadable.add(id);
      else if (header.type === "notice") {
        lastNotice = id;
        const count = nullable(row, "removals", numberOf);
        if (count !== null) removals.push({ commit: id, count, mementos: header.notice.mementos });
      } else addClaims(claims, id, header.entries);
    }
    if (page.length < ROWS_AT_ONCE) return { claims, removals, unreadable, missing, leaps, lastNotice };
  }
}

function addClaims(claims: Map<string, Claim[]>, commit: number, entries: readonly MementoEntry[]): void {
  for (const [slot, { id, timeline, sequence, parent, caretaker, name }] of entries.entries()) {
    const claim = { commit, slot, id, timeline, sequence, parent, caretaker, name };
    const place = placeText(timeline, sequence);
    const others = claims.get(place);
    if (others === undefined) claims.set(place, [claim]);
    else others.push(claim);
  }
}

/** Every memento's row, by its place; where two have one, the row that is sorted in. */
export function readPlaces(statements: Statements): Map<string, PlaceRow> {
  const places = new Map<string, PlaceRow>();
  let [timeline, sequence] = ["", 0];
  for (;;) {
    const page = statements.mementosAfter.all(timeline, sequence);
    for (const row of page) {
      const found = placeRowOf(row);
      ({ timeline, sequence } = found);
      const place = placeText(timeline, sequence);
      if (!places.has(place)) places.set(place, found);
    }
    if (page.length === 0) return places;
  }
}

/** Rows that are not sorted in, and whose places others have. */
export function readDoubles(statements: Statements): readonly PlaceRow[] {
  return statements.doubles.all().map(placeRowOf);
}

const placeRowOf = (row: Row): PlaceRow => ({
  timeline: textOf(row, "timeline"),
  sequence: numberOf(row, "sequence"),
  nonce: textOf(row, "nonce"),
  commit: numberOf(row, "commit_id"),
  slot: numberOf(row, "slot"),
  removedBy: numberOf(row, "removal"),
});

function readableHeader(row: Row, id: number): CommitHeader | null {
  try {
    return headerOf(row, id);
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}
