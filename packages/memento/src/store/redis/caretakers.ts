import { mementoQuery } from "../query.ts";
import { scanLog } from "../scan.ts";
import type { CaretakerRecord } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { readLast, type RedisLog } from "./log.ts";
import { FIELD, VALUES } from "./lua/reads.ts";
import { REMOVE_CARETAKER, SAVE_CARETAKER } from "./lua/records.ts";
import { caretakerOf, caretakerRow, noticeRow } from "./rows.ts";

/** A caretaker by its name. */
export async function readCaretaker(calls: StoreCalls, name: string): Promise<CaretakerRecord | null> {
  const [row] = (await calls.read(FIELD, [calls.keys.caretakers], [name])).rest as [Buffer | null];
  return row === null ? null : caretakerOf(row.toString());
}

/** All caretakers, by their names. */
export async function readCaretakers(calls: StoreCalls): Promise<readonly CaretakerRecord[]> {
  const [rows] = (await calls.read(VALUES, [calls.keys.caretakers], [])).rest as [unknown[]];
  return rows.map((row) => caretakerOf(String(row))).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Stores a caretaker's next version with its notice; false, and nothing, when it is not the next one. */
export async function saveCaretaker(calls: StoreCalls, record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
  const args = [record.name, String(record.version - 1), caretakerRow(record), noticeRow(notice, null)];
  return (await calls.log(SAVE_CARETAKER, [calls.keys.caretakers], args)).rest[0] === 1;
}

/**
 * Removes a caretaker with a notice; false, and nothing, when it is not there or something of it lives. What lives is
 * looked for before, and the script demands that nothing of the caretaker has come since.
 */
export async function removeCaretaker(
  calls: StoreCalls,
  log: RedisLog,
  name: string,
  notice: Uint8Array,
): Promise<boolean> {
  if ((await readCaretaker(calls, name)) === null) return false;
  for (;;) {
    const seen = await readLast(calls);
    for await (const _live of scanLog(log, mementoQuery({ caretaker: name, limit: 1 }))) return false;
    const args = [name, JSON.stringify(name), String(seen), noticeRow(notice, null)];
    const { outcome, rest } = await calls.log(REMOVE_CARETAKER, [calls.keys.caretakers], args);
    if (outcome === "ok") return rest[0] === 1;
  }
}
