import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { nullable, textOf } from "../columns.ts";
import type { CommitHeader } from "../header.ts";
import type { StoreDamage } from "../store.ts";
import type { Connection } from "./connection.ts";
import { acceptedSlots, headerOf } from "./log.ts";
import { slotsOf } from "./mending.ts";
import { headOf, lacksHead, numberOf, type Row } from "./rows.ts";
import type { Statements } from "./statements.ts";

const COMMITS_AT_ONCE = 100;
/** Of so many missing commits at once it is looked up which mementos they held. */
const GAPS_LOOKED_UP = 100;

/** What one pass over the log learns, for the passes over the other tables. */
interface Census {
  /** Mementos that a commit and a row agree on. */
  placed: number;
  /** How many mementos each removing notice says that it removed, and which ones it names. */
  readonly removals: Map<number, { readonly count: number; readonly named: ReadonlySet<string> }>;
  /** The last memento of the log that was given each name. */
  readonly names: Map<string, { readonly id: string; readonly live: boolean }>;
}

/** Everything that is structurally wrong with a database, as far as it shows without a key. */
export async function* findDamage(store: Connection): AsyncIterable<StoreDamage> {
  // The tables are compared as they were at one moment, or writers would make them seem to disagree.
  const connection = await store.snapshot();
  try {
    for (const problem of await connection.integrityProblems()) yield damage(`SQLite says: ${problem}`);
    const census: Census = { placed: 0, removals: new Map(), names: new Map() };
    yield* checkLog(connection, census);
    yield* checkMementos(connection, census);
    yield* checkTimelines(connection);
    yield* checkNames(connection, census);
  } catch (error) {
    // A page that SQLite cannot read ends the search, and is itself what was found.
    if (!isMementoError(error, "DAMAGED")) throw error;
    yield damage(error.message);
  } finally {
    connection.release();
  }
}

function damage(problem: string, mementos: readonly string[] = [], timeline: string | null = null): StoreDamage {
  return { problem, mementos, timeline };
}

/** Commits are numbered without a gap, readable, and agree with the rows of their mementos. */
async function* checkLog(connection: Connection, census: Census): AsyncIterable<StoreDamage> {
  let last = 0;
  let lastNotice = 0;
  for (;;) {
    const found: StoreDamage[] = [];
    const page = await connection.read((statements) => {
      const rows = statements.commitsAfter.all(last, COMMITS_AT_ONCE);
      for (const row of rows) {
        const id = numberOf(row, "id");
        if (id !== last + 1) {
          const gone = Array.from({ length: Math.min(id - last - 1, GAPS_LOOKED_UP) }, (_, gap) => last + 1 + gap);
          const ids = gone.flatMap((commit) => idsOf(statements, commit, census));
          found.push(damage(`Commits ${last + 1} to ${id - 1} are missing from the log`, ids));
        }
        last = id;
        if (checkCommit(statements, row, census, found) === "notice") lastNotice = id;
      }
      return rows;
    });
    yield* found;
    if (page.length < COMMITS_AT_ONCE) break;
  }
  const facts = await connection.read((statements) => statements.facts.get() ?? {});
  if (numberOf(facts, "last_notice") > lastNotice) yield damage("A notice is missing from the end of the log");
}

function checkCommit(statements: Statements, row: Row, census: Census, found: StoreDamage[]): "pack" | "notice" | null {
  const id = numberOf(row, "id");
  const where = `commit ${id}`;
  let header: CommitHeader;
  try {
    header = headerOf(row, id);
  } catch (error) {
    if (!isMementoError(error, "DAMAGED") && !isMementoError(error, "FORMAT_UNKNOWN")) throw error;
    found.push(damage(error.message, idsOf(statements, id, census)));
    return null;
  }
  const bodyBytes = nullable(row, "body_bytes", numberOf);
  const removals = nullable(row, "removals", numberOf);
  if (header.type === "notice") {
    if (bodyBytes !== null) found.push(damage(`Notice ${id} has a body`));
    if (removals !== null) census.removals.set(id, { count: removals, named: new Set(header.notice.mementos) });
    return "notice";
  }
  const slots = acceptedSlots(statements, id, header);
  const ids = slots.map(({ entry }) => entry.id);
  const whole = header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  const live = slots.some(({ slot }) => slot.removedBy === 0);
  if (bodyBytes === null && live) found.push(damage(`The body of ${where} is gone, and mementos in it live`, ids));
  if (bodyBytes !== null && bodyBytes !== whole)
    found.push(damage(`The body of ${where} has ${bodyBytes} bytes, not ${whole}`, ids));
  if (removals !== null) found.push(damage(`Pack ${id} claims to remove mementos`, ids));
  if (slots.length === 0) found.push(damage(`No slot of ${where} has a row`));
  for (const { entry, slot } of slots) {
    census.placed += 1;
    if (entry.id !== `${entry.timeline}-${entry.sequence}-${slot.nonce}`) {
      found.push(damage(`The row of memento ${entry.id} has another id`, [entry.id], entry.timeline));
    }
    noteName(census, entry, slot.removedBy === 0);
  }
  return "pack";
}

/** The mementos of a commit that cannot be read, as far as the index says: they count as placed. */
function idsOf(statements: Statements, commit: number, census: Census): string[] {
  const ids = slotsOf(statements, commit).map(({ id }) => id);
  census.placed += ids.length;
  return ids;
}

/** Names move to the later memento, so the last one that was given a name has it, or nobody has. */
function noteName(census: Census, { caretaker, name, id }: MementoEntry, live: boolean): void {
  if (name !== undefined) census.names.set(JSON.stringify([caretaker, name]), { id, live });
}

/** Every memento's row stands in a commit, and every removal was announced. */
async function* checkMementos(connection: Connection, census: Census): AsyncIterable<StoreDamage> {
  let rows = 0;
  let place = { timeline: "", sequence: 0 };
  const removed = new Map<number, { count: number; unannounced: string[] }>();
  for (;;) {
    const page = await connection.read((statements) => statements.mementosAfter.all(place.timeline, place.sequence));
    for (const row of page) {
      place = { timeline: textOf(row, "timeline"), sequence: numberOf(row, "sequence") };
      rows += 1;
      const removedBy = numberOf(row, "removal");
      if (removedBy === 0) continue;
      const id = `${place.timeline}-${place.sequence}-${textOf(row, "nonce")}`;
      const tally = removed.get(removedBy) ?? { count: 0, unannounced: [] };
      tally.count += 1;
      if (census.removals.get(removedBy)?.named.has(id) !== true) tally.unannounced.push(id);
      removed.set(removedBy, tally);
    }
    if (page.length === 0) break;
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

/** Each timeline's mementos are numbered from 1 to its head, which is the last of them. */
async function* checkTimelines(connection: Connection): AsyncIterable<StoreDamage> {
  const spans = await connection.read((statements) => statements.spans.all());
  for (const row of spans) {
    const key = nullable(row, "key", textOf);
    const [first, last, count] = ["first", "last", "mementos"].map((column) => nullable(row, column, numberOf) ?? 0);
    if (key === null) {
      yield damage(
        `Mementos belong to timeline ${textOf(row, "timeline")}, which is missing`,
        [],
        textOf(row, "timeline"),
      );
      continue;
    }
    if (lacksHead(row)) {
      yield damage(`The head of timeline ${key} is missing`, [], key);
      continue;
    }
    const head = headOf(row);
    const nonce = nullable(row, "nonce", textOf);
    const gapless = count === 0 ? last === 0 : first === 1 && last === count;
    if (!gapless) yield damage(`Timeline ${key} has ${count} mementos, numbered ${first} to ${last}`, [], key);
    const wanted = head === null ? null : `${key}-${last}-${nonce}`;
    if ((head?.sequence ?? 0) !== last || (head?.id ?? null) !== wanted) {
      yield damage(`The head of timeline ${key} is not its last memento`, head === null ? [] : [head.id], key);
    }
  }
}

/** The names that are taken are those that the log says. */
async function* checkNames(connection: Connection, census: Census): AsyncIterable<StoreDamage> {
  let place = { caretaker: "", name: "" };
  for (;;) {
    const page = await connection.read((statements) => statements.namesAfter.all(place.caretaker, place.name));
    for (const row of page) {
      place = { caretaker: textOf(row, "caretaker"), name: textOf(row, "name") };
      const key = JSON.stringify([place.caretaker, place.name]);
      const memento = textOf(row, "memento");
      const owner = census.names.get(key);
      if (owner?.live !== true || owner.id !== memento) {
        yield damage(`The name ${key} points to ${memento}, which does not have it`, [memento]);
      }
      census.names.delete(key);
    }
    if (page.length === 0) break;
  }
  for (const [key, { id, live }] of census.names) {
    if (live) yield damage(`The name ${key} of memento ${id} is missing`, [id]);
  }
}
