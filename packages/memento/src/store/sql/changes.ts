import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { admit, keyRetired, type NameMove, caretakerMoved } from "../admit.ts";
import { bytesOf, nullable, textOf } from "../columns.ts";
import type { AppendBatch, AppendResult, CaretakerRecord, SeenCaretaker } from "../store.ts";
import type { PlacedBody } from "./bodies.ts";
import {
  acceptedSlots,
  headerOf,
  idOf,
  LISTED_AT_ONCE,
  placesOf,
  readSlots,
  readSlotsOf,
  slotOf,
  type Slot,
} from "./log.ts";
import { headOf, keyValues, numberOf } from "./rows.ts";
import { mustRepeat, type SqlSession } from "./session.ts";

/** Throws KEY_RETIRED when nothing may be sealed with this data key any more. Behind the gate, so that whoever retires it waits. */
export async function demandSealingKey(session: SqlSession, id: string | null): Promise<void> {
  if (id === null) return;
  const row = await session.get(session.statements.keyState, id);
  if (row !== undefined && textOf(row, "state") !== "active") throw keyRetired(id);
}

/**
 * Appends a batch, inside the caller's transaction. Rows are locked in one order by all: timelines, then names, each in
 * the order of their texts; behind the gate nobody waits for a row any more.
 */
export async function appendBatch(
  session: SqlSession,
  batch: AppendBatch,
  { body, bodyId }: PlacedBody,
  dataKey: string | null,
): Promise<readonly AppendResult[]> {
  const { statements } = session;
  const timelines = [...new Set(batch.records.map(({ entry }) => entry.timeline))].toSorted();
  const standings = new Map(
    (await session.all(statements.lockStandings, timelines)).map((row) => [
      textOf(row, "timeline"),
      { head: headOf(row), epoch: numberOf(row, "lease_epoch") },
    ]),
  );
  const holders = await lockNames(session, batch);
  const { results, accepted, heads, names } = admit(batch, {
    timeline: (key) => standings.get(key) ?? null,
    holder: (caretaker, name) => holders.get(nameText(caretaker, name)) ?? null,
  });
  if (accepted.length === 0) return results;
  for (const [timeline, { id, sequence, check }] of heads)
    await session.run(statements.moveHead, sequence, id, check, timeline);
  await moveNames(session, names, holders);
  await session.all(statements.passGate);
  await demandSealingKey(session, dataKey);
  if (batch.dataKey !== null) await session.add(statements.insertKey, ...keyValues(batch.dataKey));
  const commit = await session.insert(statements.insertCommit, batch.header, body, bodyId);
  for (const slot of accepted) {
    const record = batch.records[slot];
    if (record === undefined) continue;
    const { id, timeline, sequence } = record.entry;
    await session.run(statements.insertMemento, timeline, sequence, id.slice(id.lastIndexOf("-") + 1), commit, slot);
  }
  return results;
}

const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);

/** Who has the names that a batch brings; they keep them until the transaction ends. */
async function lockNames(session: SqlSession, { records }: AppendBatch): Promise<ReadonlyMap<string, string>> {
  const wanted = new Map<string, readonly [string, string]>();
  for (const { entry } of records) {
    if (entry.name !== undefined) wanted.set(nameText(entry.caretaker, entry.name), [entry.caretaker, entry.name]);
  }
  const holders = new Map<string, string>();
  for (const key of [...wanted.keys()].toSorted()) {
    const row = await session.get(session.statements.lockName, ...(wanted.get(key) ?? []));
    if (row !== undefined) holders.set(key, textOf(row, "memento"));
  }
  return holders;
}

async function moveNames(
  session: SqlSession,
  names: readonly NameMove[],
  holders: ReadonlyMap<string, string>,
): Promise<void> {
  const last = new Map(names.map((move) => [nameText(move.caretaker, move.name), move]));
  for (const key of [...last.keys()].toSorted()) {
    const { caretaker, name, id } = last.get(key) ?? { caretaker: "", name: "", id: "" };
    if (holders.has(key)) await session.run(session.statements.moveName, id, caretaker, name);
    else if (!(await session.add(session.statements.addName, caretaker, name, id)))
      throw mustRepeat(`The name ${key} was taken meanwhile`);
  }
}

/** Logs a notice, and gives the number of its commit. Notices are numbered without a gap, so that a lost one is missed. */
export async function logNotice(
  session: SqlSession,
  notice: Uint8Array,
  removals: number | null = null,
): Promise<number> {
  await session.run(session.statements.countNotice);
  await session.all(session.statements.passGate);
  return await session.insert(session.statements.insertNotice, notice, removals);
}

/** Removes what lives of `ids`, with its names and a notice; nothing at all when none does. */
export async function removeMementos(
  session: SqlSession,
  ids: readonly string[],
  notice: Uint8Array,
  seen: SeenCaretaker | undefined,
): Promise<readonly string[]> {
  const wanted = new Set(ids);
  const places = placesOf(ids).toSorted(([a, one], [b, two]) => (a === b ? one - two : a < b ? -1 : 1));
  const live: Slot[] = [];
  for (let start = 0; start < places.length; start += LISTED_AT_ONCE) {
    const rows = await session.all(session.statements.lockLive, places.slice(start, start + LISTED_AT_ONCE));
    live.push(...rows.map((row) => slotOf(row)).filter((slot) => wanted.has(idOf(slot))));
  }
  if (live.length === 0) return [];
  const removed = live.map((slot) => idOf(slot));
  for (let start = 0; start < live.length; start += LISTED_AT_ONCE)
    await session.run(session.statements.freeNamesOf, removed.slice(start, start + LISTED_AT_ONCE).toSorted());
  const removedBy = await logNotice(session, notice, live.length);
  // Behind the gate: who changes a caretaker has either been here, or comes later.
  if (seen !== undefined) await demandSeen(session, seen);
  for (let start = 0; start < live.length; start += LISTED_AT_ONCE) {
    const some = live.slice(start, start + LISTED_AT_ONCE);
    const their = some.map(({ timeline, sequence }) => [timeline, sequence] as const);
    await session.run(session.statements.markRemoved, removedBy, their);
  }
  return removed;
}

async function demandSeen(session: SqlSession, seen: SeenCaretaker): Promise<void> {
  const row = await session.get(session.statements.caretaker, seen.name);
  if ((row === undefined ? 0 : numberOf(row, "version")) !== seen.version) throw caretakerMoved(seen);
}

/** Drops the bodies of those packs of `ids` in which nothing lives any more. */
export async function reclaimPacks(
  session: SqlSession,
  ids: readonly string[],
): Promise<{ readonly packs: number; readonly bytes: number }> {
  const { statements } = session;
  const commits = [...new Set((await readSlots(session, ids)).map(({ commit }) => commit))].toSorted((a, b) => a - b);
  if (commits.length === 0) return { packs: 0, bytes: 0 };
  await session.all(statements.lockCommits, commits);
  const slots = await readSlotsOf(session, commits);
  let packs = 0;
  let bytes = 0;
  for (const row of await session.all(statements.commitsOf, commits)) {
    const commit = numberOf(row, "id");
    const bodyBytes = nullable(row, "body_bytes", numberOf);
    if (bodyBytes === null) continue;
    const accepted = acceptedSlots(headerOf(row, commit), slots.get(commit) ?? []);
    if (accepted.some(({ slot }) => slot.removedBy === 0)) continue;
    await session.run(statements.dropBody, sha256(bytesOf(row, "header")), commit);
    const bodyId = nullable(row, "body_id", textOf);
    if (bodyId !== null) await session.run(statements.dropParts, bodyId);
    packs += 1;
    bytes += bodyBytes;
  }
  return { packs, bytes };
}

/** Stores a caretaker's next version with its notice; false, and nothing, when it is not the next one. */
export async function saveCaretaker(
  session: SqlSession,
  { name, created, version, policy, check }: CaretakerRecord,
  notice: Uint8Array,
): Promise<boolean> {
  const { statements } = session;
  const row = await session.get(statements.lockCaretaker, name);
  if ((row === undefined ? 0 : numberOf(row, "version")) !== version - 1) return false;
  if (row !== undefined) await session.run(statements.changeCaretaker, created, version, policy, check, name);
  else if (!(await session.add(statements.addCaretaker, name, created, version, policy, check))) return false;
  await logNotice(session, notice);
  return true;
}

/** Removes a caretaker with a notice; false, and nothing, when it is not there or something of it lives. */
export async function removeCaretaker(session: SqlSession, name: string, notice: Uint8Array): Promise<boolean> {
  const { statements } = session;
  if ((await session.get(statements.lockCaretaker, name)) === undefined) return false;
  if ((await session.get(statements.hasLive, name)) !== undefined) return false;
  await session.run(statements.removeCaretaker, name);
  await logNotice(session, notice);
  return true;
}

/** Throws INVALID_ARGUMENT for the integrity key. */
export async function demandDataKey(session: SqlSession, id: string, verb: string): Promise<void> {
  const row = await session.get(session.statements.keyState, id);
  if (row !== undefined && textOf(row, "purpose") === "integrity")
    throw new MementoError("INVALID_ARGUMENT", `The integrity key cannot be ${verb}`);
}
