import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { nullable, textOf } from "../columns.ts";
import type { CommitHeader } from "../header.ts";
import type { StoreDamage } from "../store.ts";
import { acceptedSlots, headerOf, idOf, readSlotsOf, type Slot, slotOf } from "./log.ts";
import { numberOf, timelineOf, type Row } from "./rows.ts";
import type { SqlSession } from "./session.ts";

const COMMITS_AT_ONCE = 256;

/** What one pass over the log learns, for the passes over the other tables. */
interface Census {
  /** Mementos that a commit and a row agree on. */
  placed: number;
  /** How many mementos each removing notice says that it removed, and which ones it names. */
  readonly removals: Map<number, { readonly count: number; readonly named: ReadonlySet<string> }>;
  /** The last memento of the log that was given each name. */
  readonly names: Map<string, { readonly id: string; readonly live: boolean }>;
  readonly found: StoreDamage[];
}

/** Everything that is structurally wrong with a store's tables, as far as it shows without a key; in a session that is a snapshot. */
export async function* findDamage(session: SqlSession): AsyncIterable<StoreDamage> {
  try {
    const census: Census = { placed: 0, removals: new Map(), names: new Map(), found: [] };
    yield* checkLog(session, census);
    yield* checkMementos(session, census);
    yield* checkTimelines(session);
    yield* checkNames(session, census);
    for (const row of await session.all(session.statements.strayParts))
      yield damage(`${numberOf(row, "parts")} parts of a body belong to no commit`);
  } catch (error) {
    // What the engine cannot read ends the search, and is itself what was found.
    if (!isMementoError(error, "DAMAGED")) throw error;
    yield damage(error.message);
  }
}

function damage(problem: string, mementos: readonly string[] = [], timeline: string | null = null): StoreDamage {
  return { problem, mementos, timeline };
}

/** Commits are readable and agree with the rows of their mementos; notices are numbered without a gap. */
async function* checkLog(session: SqlSession, census: Census): AsyncIterable<StoreDamage> {
  let [last, notice] = [0, 0];
  for (;;) {
    const rows = await session.all(session.statements.commitsAfter(COMMITS_AT_ONCE, 0), last);
    const slots = await readSlotsOf(
      session,
      rows.map((row) => numberOf(row, "id")),
    );
    for (const row of rows) {
      last = numberOf(row, "id");
      checkCommit(row, slots.get(last) ?? [], census);
      const number = nullable(row, "notice", numberOf);
      if (number === null) continue;
      if (number > notice + 1)
        census.found.push(damage(`Notices ${notice + 1} to ${number - 1} are missing from the log`));
      if (number <= notice) census.found.push(damage(`Notice ${number} stands behind notice ${notice} in the log`));
      notice = Math.max(notice, number);
    }
    yield* census.found.splice(0);
    if (rows.length < COMMITS_AT_ONCE) break;
  }
  const facts = (await session.get(session.statements.facts)) ?? {};
  if (numberOf(facts, "notices") !== notice) yield damage("A notice is missing from the end of the log");
}

function checkCommit(row: Row, slots: readonly Slot[], census: Census): void {
  const id = numberOf(row, "id");
  const { found } = census;
  let header: CommitHeader;
  try {
    header = headerOf(row, id);
  } catch (error) {
    if (!isMementoError(error, "DAMAGED") && !isMementoError(error, "FORMAT_UNKNOWN")) throw error;
    found.push(
      damage(
        error.message,
        slots.map((slot) => idOf(slot)),
      ),
    );
    return;
  }
  const removals = nullable(row, "removals", numberOf);
  if (header.type === "pack") {
    if (removals !== null || row["notice"] !== null) found.push(damage(`Pack ${id} claims to be a notice`));
    checkPack(row, slots, header, census);
    return;
  }
  if (row["notice"] === null) found.push(damage(`Notice ${id} has no number`));
  if (row["body_bytes"] !== null || row["body_id"] !== null) found.push(damage(`Notice ${id} has a body`));
  if (slots.length > 0)
    found.push(
      damage(
        `Notice ${id} holds mementos`,
        slots.map((slot) => idOf(slot)),
      ),
    );
  if (removals !== null) census.removals.set(id, { count: removals, named: new Set(header.notice.mementos) });
}

function checkPack(
  row: Row,
  slots: readonly Slot[],
  header: Extract<CommitHeader, { type: "pack" }>,
  census: Census,
): void {
  const { found, names } = census;
  const id = numberOf(row, "id");
  const accepted = acceptedSlots(header, slots);
  const ids = accepted.map(({ entry }) => entry.id);
  const hasBody = row["body_id"] !== null || row["body_bytes"] !== null;
  const bodyBytes = nullable(row, "body_bytes", numberOf) ?? 0;
  const whole = header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  const live = accepted.some(({ slot }) => slot.removedBy === 0);
  if (!hasBody && live) found.push(damage(`The body of commit ${id} is gone, and mementos in it live`, ids));
  if (hasBody && bodyBytes !== whole)
    found.push(damage(`The body of commit ${id} has ${bodyBytes} bytes, not ${whole}`, ids));
  if (accepted.length === 0) found.push(damage(`No slot of commit ${id} has a row`));
  const strangers = slots.filter((slot) => !accepted.some((each) => each.slot === slot));
  if (strangers.length > 0)
    found.push(
      damage(
        `Rows point to slots of commit ${id} that hold others`,
        strangers.map((slot) => idOf(slot)),
      ),
    );
  for (const { entry, slot } of accepted) {
    if (entry.id !== idOf(slot))
      found.push(damage(`The row of memento ${entry.id} has another id`, [entry.id], entry.timeline));
    census.placed += 1;
    noteName(names, entry, slot.removedBy === 0);
  }
}

/** Names move to the later memento, so the last one that was given a name has it, or nobody has. */
function noteName(names: Census["names"], { caretaker, name, id }: MementoEntry, live: boolean): void {
  if (name !== undefined) names.set(JSON.stringify([caretaker, name]), { id, live });
}

/** Every memento's row stands in a commit, and every removal was announced. */
async function* checkMementos(session: SqlSession, census: Census): AsyncIterable<StoreDamage> {
  const removed = new Map<number, { count: number; unannounced: string[] }>();
  let rows = 0;
  for await (const slot of allSlots(session)) {
    rows += 1;
    if (slot.removedBy === 0) continue;
    const tally = removed.get(slot.removedBy) ?? { count: 0, unannounced: [] };
    tally.count += 1;
    if (census.removals.get(slot.removedBy)?.named.has(idOf(slot)) !== true) tally.unannounced.push(idOf(slot));
    removed.set(slot.removedBy, tally);
  }
  if (rows !== census.placed) yield damage(`${rows} mementos have rows, and ${census.placed} of them stand in the log`);
  for (const [notice, { unannounced }] of removed) {
    if (unannounced.length > 0)
      yield damage(`Mementos are marked as removed by commit ${notice}, which does not name them`, unannounced);
  }
  for (const [notice, { count, named }] of census.removals) {
    const marked = removed.get(notice)?.count ?? 0;
    if (marked !== count)
      yield damage(`Notice ${notice} removed ${count} mementos, and ${marked} are marked so`, [...named]);
  }
}

/** Every memento's row, in the order of timelines and their numbers. */
export async function* allSlots(session: SqlSession): AsyncIterable<Slot> {
  let place = { timeline: "", sequence: 0 };
  for (;;) {
    const page = await session.all(session.statements.mementosAfter, place.timeline, place.sequence, place.timeline);
    for (const row of page) {
      const slot = slotOf(row);
      yield slot;
      place = slot;
    }
    if (page.length === 0) return;
  }
}

/** Each timeline's mementos are numbered from 1 to its head, which is the last of them. */
async function* checkTimelines(session: SqlSession): AsyncIterable<StoreDamage> {
  const spans = new Map<string, Span>();
  for (const row of await session.all(session.statements.spans))
    spans.set(textOf(row, "timeline"), {
      mementos: numberOf(row, "mementos"),
      first: numberOf(row, "first_sequence"),
      last: numberOf(row, "last_sequence"),
    });
  for (let ordinal = 0; ;) {
    const page = await session.all(session.statements.timelinesAfter, ordinal);
    const lasts = await readLasts(session, page, spans);
    for (const row of page) {
      ordinal = numberOf(row, "ordinal");
      const { record, head } = timelineOf(row);
      const { mementos, first, last } = spans.get(record.key) ?? { mementos: 0, first: 1, last: 0 };
      spans.delete(record.key);
      if (first !== 1 || last !== mementos)
        yield damage(`Timeline ${record.key} has ${mementos} mementos, numbered ${first} to ${last}`, [], record.key);
      if ((head?.sequence ?? 0) !== last || (head?.id ?? null) !== (lasts.get(record.key) ?? null))
        yield damage(
          `The head of timeline ${record.key} is not its last memento`,
          head === null ? [] : [head.id],
          record.key,
        );
    }
    if (page.length === 0) break;
  }
  for (const timeline of spans.keys())
    yield damage(`Mementos belong to timeline ${timeline}, which is missing`, [], timeline);
}

interface Span {
  readonly mementos: number;
  readonly first: number;
  readonly last: number;
}

/** The ids of the last mementos of a page of timelines. */
async function readLasts(
  session: SqlSession,
  page: readonly Row[],
  spans: ReadonlyMap<string, Span>,
): Promise<ReadonlyMap<string, string>> {
  const places = page.flatMap((row) => {
    const timeline = textOf(row, "timeline");
    const span = spans.get(timeline);
    return span === undefined ? [] : [[timeline, span.last] as const];
  });
  if (places.length === 0) return new Map();
  const slots = (await session.all(session.statements.slots, places)).map((row) => slotOf(row));
  return new Map(slots.map((slot) => [slot.timeline, idOf(slot)]));
}

/** The names that are taken are those that the log says. */
async function* checkNames(session: SqlSession, census: Census): AsyncIterable<StoreDamage> {
  let place = { caretaker: "", name: "" };
  for (;;) {
    const page = await session.all(session.statements.namesAfter, place.caretaker, place.name, place.caretaker);
    for (const row of page) {
      place = { caretaker: textOf(row, "caretaker"), name: textOf(row, "name") };
      const key = JSON.stringify([place.caretaker, place.name]);
      const memento = textOf(row, "memento");
      const owner = census.names.get(key);
      if (owner?.live !== true || owner.id !== memento)
        yield damage(`The name ${key} points to ${memento}, which does not have it`, [memento]);
      census.names.delete(key);
    }
    if (page.length === 0) break;
  }
  for (const [key, { id, live }] of census.names) {
    if (live) yield damage(`The name ${key} of memento ${id} is missing`, [id]);
  }
}
