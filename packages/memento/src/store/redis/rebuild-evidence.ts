import { isMementoError } from "../../core/errors.ts";
import type { TimelineState } from "../../core/timeline.ts";
import type { CommitHeader } from "../header.ts";
import { isLeap } from "../log-gap.ts";
import type { IndexAuthority } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { nameText, PLACES_IN_BUCKET } from "./keys.ts";
import { acceptedEntries, headerOf } from "./log.ts";
import { LAST_ROW, RAW_ROWS, UNORDERED, WHOLE_HASH } from "./lua/mending.ts";
import { HASH_PAGE } from "./lua/reads.ts";
import { commitOf, fieldsOf, placeOf, timelineOf, type CommitRow, type Place } from "./rows.ts";
import { pageTimelines } from "./timelines.ts";

/** What a commit says of one memento that it took in. */
export interface Claim extends Omit<Place, "removedBy"> {
  readonly id: string;
  readonly timeline: string;
  readonly sequence: number;
}

/** A genuine notice that removed mementos. */
export interface Removal {
  readonly commit: number;
  readonly count: number;
  readonly mementos: readonly string[];
}

/** What the log says, read from its first commit to its last. */
export interface LogEvidence {
  /** By timeline and sequence: who was taken in there. */
  readonly claims: ReadonlyMap<string, readonly Claim[]>;
  readonly removals: readonly Removal[];
  /** Commits whose row or header does not read, or whose notice is not genuine; true where a body goes with it. */
  readonly unreadable: ReadonlyMap<number, boolean>;
  /** Numbers that have no commit. */
  readonly missing: readonly number[];
  /** The last number by the facts, and the highest one that has a commit. */
  readonly last: number;
  readonly highest: number;
}

/** A memento's place, and whose it is. */
export interface PlaceRow extends Place {
  readonly timeline: string;
  readonly sequence: number;
}

/** The index as it stands. */
export interface IndexEvidence {
  readonly places: Map<string, PlaceRow>;
  /** Places that do not read, by timeline and sequence. */
  readonly unreadablePlaces: ReadonlySet<string>;
  /** By key; null for one that is missing or does not read. */
  readonly timelines: ReadonlyMap<string, TimelineState | null>;
  readonly unordered: readonly string[];
  readonly names: ReadonlyMap<string, string>;
}

const ROWS_AT_ONCE = 256;
const ROW_BYTES = 1024 * 1024;

/** One text for each place of a timeline. */
export const placeText = (timeline: string, sequence: number): string => `${timeline}-${sequence}`;

/** Reads the log; `reached`: the highest commit that a place names. */
export async function readEvidence(
  calls: StoreCalls,
  authority: IndexAuthority,
  reached: number,
): Promise<LogEvidence> {
  const [last, found] = (await calls.read(LAST_ROW, [], [String(reached)])).rest as [number, number];
  const highest = Math.max(found, reached);
  const end = isLeap(highest, last) ? highest : Math.max(last, highest);
  const claims = new Map<string, Claim[]>();
  const removals: Removal[] = [];
  const unreadable = new Map<number, boolean>();
  const missing: number[] = [];
  for (let next = 1; next <= end;) {
    const to = Math.min(end, next + ROWS_AT_ONCE - 1);
    const { rest } = await calls.read(RAW_ROWS, [], [String(next), String(to), String(ROW_BYTES)]);
    for (const row of rest as (Buffer | null)[]) {
      const commit = next++;
      if (row === null) {
        missing.push(commit);
        continue;
      }
      const read = readable(() => headerOf(commit, row));
      if (read === null || (read[1].type === "notice" && !authority.isGenuine(read[1]))) {
        unreadable.set(commit, hasBody(commit, row));
      } else if (read[0].removals === null) addClaims(claims, ...read);
      else if (read[1].type === "notice")
        removals.push({ commit, count: read[0].removals, mementos: read[1].notice.mementos });
    }
  }
  return { claims, removals, unreadable, missing, last, highest };
}

function addClaims(claims: Map<string, Claim[]>, row: CommitRow, header: CommitHeader): void {
  for (const { slot, entry } of acceptedEntries(row, header)) {
    const { id, timeline, sequence, caretaker } = entry;
    const name = entry.name === undefined ? "" : nameText(caretaker, entry.name);
    const nonce = id.slice(id.lastIndexOf("-") + 1);
    const place = placeText(timeline, sequence);
    claims.set(place, [
      ...(claims.get(place) ?? []),
      { commit: row.commit, slot, id, nonce, name, timeline, sequence },
    ]);
  }
}

function hasBody(commit: number, row: Buffer): boolean {
  const read = readable(() => commitOf(commit, row));
  return read !== null && read.pack !== null && read.pack.bodyBytes !== null;
}

/** Reads everything of the index that repeats what the log says. */
export async function readIndex(calls: StoreCalls): Promise<IndexEvidence> {
  const { keys } = calls;
  const places = new Map<string, PlaceRow>();
  const unreadablePlaces = new Set<string>();
  const timelines = await readTimelines(calls);
  const [unordered] = (await calls.read(UNORDERED, [keys.addresses, keys.order], [])).rest as [Buffer[]];
  for (const key of unordered.map(String)) {
    const fields = (await calls.read(WHOLE_HASH, [keys.timeline(key)], [])).rest[0] as unknown[];
    timelines.set(key, fields.length === 0 ? null : readable(() => timelineOf(fieldsOf(fields))));
  }
  for (const [key, state] of timelines) {
    const top = state?.head?.sequence ?? 0;
    // Two empty keys in turn are the end, wherever the head is.
    for (let bucket = 0, empty = 0; empty < 2 || bucket <= top / PLACES_IN_BUCKET; bucket++) {
      const rows = await readBucket(calls, key, bucket * PLACES_IN_BUCKET);
      empty = rows.size === 0 ? empty + 1 : 0;
      for (const [field, row] of rows) {
        const sequence = Number(field);
        const place = readable(() => placeOf(Buffer.from(row)));
        if (place === null) unreadablePlaces.add(placeText(key, sequence));
        else places.set(placeText(key, sequence), { ...place, timeline: key, sequence });
      }
    }
  }
  return { places, unreadablePlaces, timelines, unordered: unordered.map(String), names: await readNames(calls) };
}

async function readTimelines(calls: StoreCalls): Promise<Map<string, TimelineState | null>> {
  const timelines = new Map<string, TimelineState | null>();
  for await (const { key, state } of pageTimelines(calls)) timelines.set(key, state);
  return timelines;
}

async function readBucket(calls: StoreCalls, timeline: string, sequence: number): Promise<ReadonlyMap<string, string>> {
  return fieldsOf((await calls.read(WHOLE_HASH, [calls.keys.places(timeline, sequence)], [])).rest[0] as unknown[]);
}

async function readNames(calls: StoreCalls): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (let cursor = "0"; ;) {
    const [page] = (await calls.read(HASH_PAGE, [calls.keys.names], [cursor])).rest as [[Buffer, Buffer[]]];
    for (const [name, id] of fieldsOf(page[1])) names.set(name, id);
    cursor = String(page[0]);
    if (cursor === "0") return names;
  }
}

/** What was read; null for bytes that are not what was written. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}
