import { sha256 } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { admit, keyRetired, caretakerMoved } from "../admit.ts";
import { bytesOf, nullable, textOf } from "../columns.ts";
import type { AppendBatch, AppendResult, CaretakerRecord, EntryPlace, SeenCaretaker } from "../store.ts";
import { acceptedSlots, headerOf, readSlot } from "./log.ts";
import { headOf, keyValues, numberOf } from "./rows.ts";
import { insertPlaces, sortInThese } from "./sort-in.ts";
import type { Statements } from "./statements.ts";

/** Throws KEY_RETIRED when nothing may be sealed with this data key any more. */
export function demandSealingKey(statements: Statements, id: string | null): void {
  const row = id === null ? undefined : statements.keyRing.get(id);
  if (id === null || row === undefined) return;
  const ring = textOf(row, "ring");
  if (ring === "" || ring.startsWith("!")) throw keyRetired(id);
}

/** Retires a data key, inside the caller's transaction; false when there is none. INVALID_ARGUMENT for the integrity key. */
export function retireKey(statements: Statements, id: string): boolean {
  const row = statements.keyRing.get(id);
  if (row === undefined || textOf(row, "ring") === "") return false;
  if (textOf(row, "purpose") === "integrity")
    throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be retired");
  statements.retireKey.run(id);
  return true;
}

/** Appends a batch, inside the caller's transaction. Three tables are written for a record without a name. */
export function appendBatch(
  statements: Statements,
  batch: AppendBatch<EntryPlace>,
  dataKey: string | null,
): readonly AppendResult[] {
  if (moveHeads(statements, batch.records)) {
    insertPack(statements, batch, dataKey, batch.records.keys());
    return batch.records.map(() => ({ outcome: "appended" }));
  }
  const { results, accepted, heads, names } = admit(batch, {
    timeline: (key) => {
      const row = statements.standing.get(key);
      return row === undefined ? null : { head: headOf(row), epoch: numberOf(row, "lease_epoch") };
    },
    holder: (caretaker, name) => {
      const row = statements.named.get(caretaker, name);
      return row === undefined ? null : textOf(row, "memento");
    },
  });
  if (accepted.length === 0) return results;
  insertPack(statements, batch, dataKey, accepted);
  for (const [timeline, { id, sequence, check }] of heads) statements.moveHead.run(sequence, id, check, timeline);
  for (const { caretaker, name, id } of names) statements.moveName.run(caretaker, name, id);
  return results;
}

/**
 * Moves the heads of a batch in which every record is as it is expected to be, which they nearly always are: it spares to look at
 * each timeline first. False, and nothing moved, where one is not, or has a name to be looked at.
 */
function moveHeads(statements: Statements, records: AppendBatch<EntryPlace>["records"]): boolean {
  if (records.some(({ entry }) => entry.name !== undefined)) return false;
  const isLone = records.length === 1;
  if (!isLone) statements.savepoint.run();
  const moved = records.every(({ entry: { id, timeline, sequence, epoch }, expectedSequence, headCheck }) => {
    const { changes } = statements.moveHeadFrom.run(sequence, id, headCheck, timeline, epoch, expectedSequence);
    return changes === 1;
  });
  if (isLone) return moved;
  if (!moved) statements.rollbackTo.run();
  statements.release.run();
  return moved;
}

function insertPack(
  statements: Statements,
  { header, body, records, dataKey: newKey }: AppendBatch<EntryPlace>,
  dataKey: string | null,
  slots: Iterable<number>,
): void {
  const { changes, lastInsertRowid: commit } = statements.insertCommit.run(header, body, dataKey);
  if (changes !== 1) throw keyRetired(String(dataKey));
  if (newKey !== null) statements.insertKey.run(...keyValues(newKey));
  const places = [...slots].flatMap((slot) => {
    const entry = records[slot]?.entry;
    if (entry === undefined) return [];
    const { id, timeline, sequence } = entry;
    return [{ timeline, sequence, nonce: id.slice(id.lastIndexOf("-") + 1), slot }];
  });
  insertPlaces(statements, commit, places);
}

/** Logs a notice, and gives the number of its commit. */
export function logNotice(statements: Statements, notice: Uint8Array, removals: number | null = null): number {
  const commit = Number(statements.insertNotice.run(notice, removals).lastInsertRowid);
  statements.noticeLogged.run(commit);
  return commit;
}

/** Removes what lives of `ids`, with its names and a notice; nothing at all when none does. */
export function removeMementos(
  statements: Statements,
  ids: readonly string[],
  notice: Uint8Array,
  seen: SeenCaretaker | undefined,
): readonly string[] {
  const live = [...new Set(ids)].flatMap((id) => {
    const place = parseMementoId(id);
    const slot = place && readSlot(statements, place.timeline, place.sequence);
    const lives = slot && slot.removedBy === 0 && id.endsWith(`-${slot.nonce}`);
    return lives ? [{ id, ...place, ...slot }] : [];
  });
  if (live.length === 0) return [];
  if (seen !== undefined && versionOf(statements, seen.name) !== seen.version) throw caretakerMoved(seen);
  sortInThese(statements, live);
  const removedBy = logNotice(statements, notice, live.length);
  for (const { id, timeline, sequence, commit, slot } of live) {
    statements.markRemoved.run(removedBy, timeline, sequence);
    const entry = entryAt(statements, commit, slot);
    // Where nobody can read any more whether it has a name, each name is asked whether it is this memento's.
    if (entry === null) statements.freeNamesOf.run(id);
    else if (entry.name !== undefined) statements.freeName.run(entry.caretaker, entry.name, id);
  }
  return live.map(({ id }) => id);
}

/** A slot's entry; null when its commit is missing or damaged: what is damaged must be removable. */
function entryAt(statements: Statements, commit: number, slot: number): MementoEntry | null {
  const row = statements.commitById.get(commit);
  if (row === undefined) return null;
  try {
    const header = headerOf(row, commit);
    return header.type === "pack" ? (header.entries[slot] ?? null) : null;
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}

/** Drops the bodies of those packs of `ids` in which nothing lives any more. */
export function reclaimPacks(statements: Statements, ids: readonly string[]): { packs: number; bytes: number } {
  const commits = new Set<number>();
  for (const id of ids) {
    const place = parseMementoId(id);
    const slot = place && readSlot(statements, place.timeline, place.sequence);
    if (slot && id.endsWith(`-${slot.nonce}`)) commits.add(slot.commit);
  }
  let packs = 0;
  let bytes = 0;
  for (const commit of commits) {
    const row = statements.commitById.get(commit);
    const bodyBytes = row && nullable(row, "body_bytes", numberOf);
    if (row === undefined || bodyBytes === null || bodyBytes === undefined) continue;
    const slots = acceptedSlots(statements, commit, headerOf(row, commit));
    if (slots.some(({ slot }) => slot.removedBy === 0)) continue;
    statements.dropBody.run(sha256(bytesOf(row, "header")), commit);
    packs += 1;
    bytes += bodyBytes;
  }
  return { packs, bytes };
}

/** Stores a caretaker's next version with its notice; false, and nothing, when it is not the next one. */
export function saveCaretaker(statements: Statements, record: CaretakerRecord, notice: Uint8Array): boolean {
  if (versionOf(statements, record.name) !== record.version - 1) return false;
  statements.saveCaretaker.run(record.name, record.created, record.version, record.policy, record.check);
  logNotice(statements, notice);
  return true;
}

function versionOf(statements: Statements, name: string): number {
  const row = statements.caretaker.get(name);
  return row === undefined ? 0 : numberOf(row, "version");
}

/** Removes a caretaker with a notice; false, and nothing, when it is not there or something of it lives. */
export function removeCaretaker(statements: Statements, name: string, notice: Uint8Array): boolean {
  if (statements.caretaker.get(name) === undefined) return false;
  if (numberOf(statements.hasLive.get(name) ?? {}, "live") !== 0) return false;
  statements.removeCaretaker.run(name);
  logNotice(statements, notice);
  return true;
}
