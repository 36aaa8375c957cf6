import type { MementoEntry } from "../../core/memento.ts";
import type { TimelineState } from "../../core/timeline.ts";
import { nullable, textOf } from "../columns.ts";
import type { IndexAuthority } from "../store.ts";
import { allSlots } from "./check.ts";
import { idOf, readableHeader, type Slot } from "./log.ts";
import { numberOf, timelineOf } from "./rows.ts";
import type { SqlSession } from "./session.ts";

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

/** A name's row. */
export interface NameRow {
  readonly caretaker: string;
  readonly name: string;
  readonly memento: string;
}

/** What the log and the index say, each by itself. */
export interface Evidence {
  /** By timeline and sequence number: who says that it was appended there. Refused slots say so too. */
  readonly claims: Map<string, Claim[]>;
  readonly removals: Removal[];
  /** Commits that are there. */
  readonly commits: Set<number>;
  /** Commits whose header does not read, or whose notice is not genuine; true where there is a body. */
  readonly unreadable: Map<number, boolean>;
  /** The commits of the notices, by the notices' own numbers. */
  readonly notices: Map<number, number>;
  /** How many notices the store's facts count. */
  readonly noticesCounted: number;
  /** Every memento's row, by its place. */
  readonly places: Map<string, Slot>;
  readonly timelines: Map<string, TimelineState>;
  readonly names: NameRow[];
}

/** What a rebuild has found, and what it will write. */
export interface RebuildPlan {
  readonly evidence: Evidence;
  readonly authority: IndexAuthority;
  readonly change: (
    problem: string,
    mementos: readonly string[],
    timeline: string | null,
    write: (session: SqlSession) => Promise<unknown>,
  ) => void;
  readonly problem: (problem: string, mementos: readonly string[], timeline: string | null) => void;
}

const ROWS_AT_ONCE = 256;

/** One text for each place of a timeline. */
export const placeText = (timeline: string, sequence: number): string => `${timeline}-${sequence}`;

/** Reads everything that a rebuild compares into memory, inside the caller's transaction. */
export async function readEvidence(session: SqlSession, authority: IndexAuthority): Promise<Evidence> {
  const facts = (await session.get(session.statements.facts)) ?? {};
  const evidence: Evidence = {
    claims: new Map(),
    removals: [],
    commits: new Set(),
    unreadable: new Map(),
    notices: new Map(),
    noticesCounted: numberOf(facts, "notices"),
    places: new Map(),
    timelines: new Map(),
    names: [],
  };
  await readLog(session, authority, evidence);
  for await (const slot of allSlots(session)) evidence.places.set(placeText(slot.timeline, slot.sequence), slot);
  for (let ordinal = 0; ;) {
    const page = await session.all(session.statements.timelinesAfter, ordinal);
    for (const row of page) {
      ordinal = numberOf(row, "ordinal");
      evidence.timelines.set(textOf(row, "timeline"), timelineOf(row));
    }
    if (page.length === 0) break;
  }
  for (let place: NameRow = { caretaker: "", name: "", memento: "" }; ;) {
    const page = await session.all(session.statements.namesAfter, place.caretaker, place.name, place.caretaker);
    for (const row of page) {
      place = { caretaker: textOf(row, "caretaker"), name: textOf(row, "name"), memento: textOf(row, "memento") };
      evidence.names.push(place);
    }
    if (page.length === 0) return evidence;
  }
}

async function readLog(session: SqlSession, authority: IndexAuthority, evidence: Evidence): Promise<void> {
  for (let last = 0; ;) {
    const page = await session.all(session.statements.commitsAfter(ROWS_AT_ONCE, 0), last);
    for (const row of page) {
      last = numberOf(row, "id");
      evidence.commits.add(last);
      const header = readableHeader(row, last);
      const number = nullable(row, "notice", numberOf);
      if (number !== null) evidence.notices.set(number, last);
      if (header === null || (header.type === "notice" && !authority.isGenuine(header)))
        evidence.unreadable.set(last, row["body_bytes"] !== null || row["body_id"] !== null);
      else if (header.type === "pack") addClaims(evidence.claims, last, header.entries);
      else {
        const count = nullable(row, "removals", numberOf);
        if (count !== null) evidence.removals.push({ commit: last, count, mementos: header.notice.mementos });
      }
    }
    if (page.length < ROWS_AT_ONCE) return;
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

/** The row of a memento, if its place has one of its id. */
export function rowOf({ places }: Evidence, id: string): Slot | null {
  const row = places.get(id.slice(0, id.lastIndexOf("-")));
  return row !== undefined && idOf(row) === id ? row : null;
}
