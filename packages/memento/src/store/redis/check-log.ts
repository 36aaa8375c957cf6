import { isMementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { CommitHeader, PackHeader } from "../header.ts";
import type { StoreDamage } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { nameText } from "./keys.ts";
import { acceptedEntries, headerOf, readPage, type PagedCommit } from "./log.ts";
import { INSPECT } from "./lua/reads.ts";
import { placeOf, type CommitRow, type Place } from "./rows.ts";

const COMMITS_AT_ONCE = 256;
/** How often a commit is looked at again that somebody changes meanwhile. */
const LOOKS_MAX = 10;

/** What one pass over the log learns, for the passes over the rest. */
export interface Census {
  /** The last commit that was looked at. */
  seen: number;
  /** How many mementos each timeline has by the log, and the sequence of its last one. */
  readonly lines: Map<string, { count: number; top: number }>;
  /** The last memento of the log that was given each name. */
  readonly names: Map<string, { readonly id: string; readonly name: string }>;
  /** Mementos that are marked as removed, by the commit that removed them, until that was met. */
  readonly marked: Map<number, string[]>;
}

/** A damage that was found. */
export function damage(problem: string, mementos: readonly string[] = [], timeline: string | null = null): StoreDamage {
  return { problem, mementos, timeline };
}

type Read = readonly [CommitRow, CommitHeader];

/** Commits up to `top` are numbered without a gap, readable, whole, and agree with the places of their mementos. */
export async function* checkLog(calls: StoreCalls, top: number, census: Census): AsyncIterable<StoreDamage> {
  while (census.seen < top) {
    const { commits } = await readPage(calls, census.seen + 1, 1, Math.min(COMMITS_AT_ONCE, top - census.seen));
    const last = commits.at(-1)?.commit ?? top;
    yield* checkPage(calls, commits, census);
    census.seen = last;
  }
  yield* checkLateRemovals(calls, census);
}

async function* checkPage(
  calls: StoreCalls,
  commits: readonly PagedCommit[],
  census: Census,
): AsyncIterable<StoreDamage> {
  let open = commits;
  for (let looks = 0; open.length > 0; looks++) {
    const read: Read[] = [];
    for (const { commit, row } of open) {
      const found = attempt(() => headerOf(commit, row));
      if (typeof found === "string") yield damage(found);
      else read.push(found);
    }
    const changed: number[] = [];
    yield* inspect(calls, read, census, changed);
    open = [];
    if (looks === LOOKS_MAX) return;
    for (const commit of changed) open = [...open, ...(await readPage(calls, commit, 1, 1)).commits];
  }
}

/** Compares commits with what is there at one moment; those that have another row by then go to `changed`. */
async function* inspect(
  calls: StoreCalls,
  read: readonly Read[],
  census: Census,
  changed: number[],
): AsyncIterable<StoreDamage> {
  const wanted = read.map(([row, header]) => mementosOf(row, header));
  const places = wanted.flat().flatMap((id) => {
    const { timeline = "", sequence = 0 } = parseMementoId(id) ?? {};
    return [timeline, String(sequence)];
  });
  const args = [String(read.length), ...read.map(([row]) => String(row.commit)), ...places];
  const [facts, found] = (await calls.read(INSPECT, [], args)).rest as [(Buffer | number | null)[], (Buffer | null)[]];
  let next = 0;
  for (const [index, [row, header]] of read.entries()) {
    const ids = wanted[index] ?? [];
    const lies = found.slice(next, next + ids.length);
    next += ids.length;
    const line = facts[2 * index];
    if (!(line instanceof Buffer) || line.toString("latin1") !== row.line) {
      changed.push(row.commit);
      continue;
    }
    const there = lies.map((place) => attempt(() => (place === null ? null : placeOf(place))));
    if (header.type === "pack") yield* checkPack(row, header, Number(facts[2 * index + 1]), there, census);
    else yield* checkNotice(row, ids, there, census);
  }
}

/** The mementos whose places tell about a commit: those of a pack, or those that a notice removed. */
function mementosOf(row: CommitRow, header: CommitHeader): readonly string[] {
  if (header.type === "pack") return acceptedEntries(row, header).map(({ entry }) => entry.id);
  return row.removals === null ? [] : header.notice.mementos;
}

function* checkPack(
  row: CommitRow,
  header: PackHeader,
  bodyLength: number,
  places: readonly (Place | string | null)[],
  census: Census,
): Iterable<StoreDamage> {
  const { commit, pack } = row;
  const accepted = acceptedEntries(row, header);
  const ids = accepted.map(({ entry }) => entry.id);
  const whole = header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  const wantedBytes = pack?.bodyBytes ?? null;
  if (wantedBytes !== null && (bodyLength !== wantedBytes || wantedBytes !== whole)) {
    const found = bodyLength < 0 ? "no" : String(bodyLength);
    yield damage(`The body of commit ${commit} has ${found} bytes, not ${whole}`, ids);
  }
  for (const [index, { entry, slot }] of accepted.entries()) {
    const place = places[index] ?? null;
    note(census, entry);
    if (typeof place === "string") {
      yield damage(place, [entry.id], entry.timeline);
      continue;
    }
    const isRight = place?.commit === commit && place.slot === slot && entry.id.endsWith(`-${place.nonce}`);
    if (place === null || !isRight) {
      const problem = place === null ? "is missing" : `is another one than commit ${commit} says`;
      yield damage(`The place of memento ${entry.id} ${problem}`, [entry.id], entry.timeline);
      continue;
    }
    if (place.name !== namedBy(entry))
      yield damage(`The place of memento ${entry.id} has another name than its commit`, [entry.id], entry.timeline);
    if (place.removedBy === 0 && wantedBytes === null)
      yield damage(`The body of commit ${commit} is gone, and memento ${entry.id} lives`, [entry.id], entry.timeline);
    if (place.removedBy !== 0)
      census.marked.set(place.removedBy, [...(census.marked.get(place.removedBy) ?? []), entry.id]);
  }
}

/** Every memento that is marked as removed by a notice is named by it, and as many are marked as it removed. */
function* checkNotice(
  { commit, removals }: CommitRow,
  named: readonly string[],
  places: readonly (Place | string | null)[],
  census: Census,
): Iterable<StoreDamage> {
  const unannounced = (census.marked.get(commit) ?? []).filter((id) => !named.includes(id));
  census.marked.delete(commit);
  if (unannounced.length > 0)
    yield damage(`Mementos are marked as removed by commit ${commit}, which does not name them`, unannounced);
  const marked = new Set<string>();
  for (const [index, id] of named.entries()) {
    const place = places[index];
    if (typeof place === "object" && place?.removedBy === commit && id.endsWith(`-${place.nonce}`)) marked.add(id);
  }
  if (removals !== null && marked.size !== removals)
    yield damage(`Notice ${commit} removed ${removals} mementos, and ${marked.size} are marked so`, named);
}

/** Marks by commits that came after the pass began, or that are none. */
async function* checkLateRemovals(calls: StoreCalls, census: Census): AsyncIterable<StoreDamage> {
  for (const [commit, ids] of census.marked) {
    const [page] = (await readPage(calls, commit, 1, 1)).commits;
    const read = page?.commit === commit ? attempt(() => headerOf(commit, page.row)) : "";
    // What cannot be read was told already, or is told by the next check.
    const header = typeof read === "string" ? null : read[1];
    const named = header?.type === "notice" ? header.notice.mementos : [];
    const unannounced = ids.filter((id) => !named.includes(id));
    if (unannounced.length > 0)
      yield damage(`Mementos are marked as removed by commit ${commit}, which does not name them`, unannounced);
  }
  census.marked.clear();
}

/** Reads on what has come to the log since, as far as it gives names. */
export async function catchUp(calls: StoreCalls, census: Census): Promise<void> {
  for (;;) {
    const { last, commits } = await readPage(calls, census.seen + 1, 1, COMMITS_AT_ONCE);
    for (const { commit, row } of commits) {
      const read = attempt(() => headerOf(commit, row));
      if (typeof read !== "string") for (const { entry } of acceptedEntries(...read)) noteName(census, entry);
      census.seen = commit;
    }
    if (census.seen >= last) return;
  }
}

function note(census: Census, entry: MementoEntry): void {
  const line = census.lines.get(entry.timeline) ?? { count: 0, top: 0 };
  census.lines.set(entry.timeline, { count: line.count + 1, top: Math.max(line.top, entry.sequence) });
  noteName(census, entry);
}

/** Names move to the later memento, so the last one that was given a name has it, or nobody has. */
function noteName(census: Census, { id, caretaker, name }: MementoEntry): void {
  if (name !== undefined) census.names.set(nameText(caretaker, name), { id, name });
}

const namedBy = ({ caretaker, name }: MementoEntry): string => (name === undefined ? "" : nameText(caretaker, name));

/** What was read, or what is wrong with it. */
function attempt<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return error.message;
    throw error;
  }
}
