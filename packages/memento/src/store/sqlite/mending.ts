import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { bytesOf, nullable, textOf } from "../columns.ts";
import type { PackHeader } from "../header.ts";
import { mayReplace } from "../replacement.ts";
import type { PackReplacement, SalvagedPack } from "../store.ts";
import { demandSealingKey } from "./changes.ts";
import { readSlot } from "./log.ts";
import { keyOf, keyValues, numberOf } from "./rows.ts";
import type { Statements } from "./statements.ts";

/** Replaces a pack, inside the caller's transaction; false when it is another one than was expected. */
export function replacePack(statements: Statements, replacement: PackReplacement, header: PackHeader): boolean {
  const commit = commitOf(statements, replacement.ids);
  if (commit === null) return false;
  const row = statements.commitById.get(commit);
  const slots = slotsOf(statements, commit);
  const stored = {
    header: row === undefined ? null : bytesOf(row, "header"),
    hasBody: row !== undefined && nullable(row, "body_bytes", numberOf) !== null,
    slots,
  };
  if (!mayReplace(replacement, header, stored)) return false;
  // Where nothing but the header stays, nothing is sealed.
  if (replacement.body !== null) demandSealingKey(statements, header.dataKey);
  if (replacement.dataKey !== null) statements.insertKey.run(...keyValues(replacement.dataKey));
  const digest = replacement.body === null ? sha256(replacement.header) : null;
  statements.replacePack.run(commit, replacement.header, replacement.body, digest);
  return true;
}

/**
 * Takes a data key out of its table; false when there is none. The whole table is written anew: where rows moved to other
 * pages as it grew, copies of them are left in the pages' unused parts, which only an emptied page is cleared of.
 */
export function dropKey(statements: Statements, id: string): boolean {
  const row = statements.keyPurpose.get(id);
  if (row === undefined) return false;
  if (textOf(row, "purpose") === "integrity")
    throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be dropped");
  const all = statements.keys.all();
  const others = all.filter((each) => textOf(each, "id") !== id);
  // Of a destroyed key the id stays, so that nobody who still has the key brings it back.
  const dropped = [...statements.droppedKeys.all(), ...all.filter((each) => !others.includes(each))];
  statements.dropKeys.run();
  for (const each of dropped)
    statements.putKey.run(numberOf(each, "ordinal"), textOf(each, "id"), "data", "", "", "", "");
  for (const each of others) statements.putKey.run(numberOf(each, "ordinal"), ...keyValues(keyOf(each)));
  return true;
}

/** What is left of a memento's commit, header first; null when no row says where that is. */
export function salvage(statements: Statements, id: string): SalvagedPack | null {
  const commit = commitOf(statements, [id]);
  if (commit === null) return null;
  const row = statements.rawCommit.get(commit);
  const header = row === undefined ? null : bytesOf(row, "header");
  const body = row === undefined ? null : nullable(row, "body", bytesOf);
  const bytes = Buffer.concat([header ?? new Uint8Array(), body ?? new Uint8Array()]);
  return { bytes, header, body, mementos: slotsOf(statements, commit) };
}

/** The mementos that the index has in a commit, by slot. */
export function slotsOf(statements: Statements, commit: number): SalvagedPack["mementos"] {
  return statements.slotsOf.all(commit).map((place) => ({
    id: `${textOf(place, "timeline")}-${numberOf(place, "sequence")}-${textOf(place, "nonce")}`,
    slot: numberOf(place, "slot"),
    removed: numberOf(place, "removal") !== 0,
  }));
}

function commitOf(statements: Statements, ids: readonly string[]): number | null {
  for (const id of ids) {
    const place = parseMementoId(id);
    const slot = place && readSlot(statements, place.timeline, place.sequence);
    if (slot && id.endsWith(`-${slot.nonce}`)) return slot.commit;
  }
  return null;
}
