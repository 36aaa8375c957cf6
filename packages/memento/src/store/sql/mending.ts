import { sha256 } from "../../core/digest.ts";
import { bytesOf, nullable, textOf } from "../columns.ts";
import type { PackHeader } from "../header.ts";
import { mayReplace } from "../replacement.ts";
import type { PackReplacement, SalvagedPack } from "../store.ts";
import { partsOf, type PlacedBody } from "./bodies.ts";
import { demandSealingKey } from "./changes.ts";
import { idOf, readSlots, readSlotsOf } from "./log.ts";
import { keyValues, numberOf } from "./rows.ts";
import type { SqlSession } from "./session.ts";

/** Replaces a pack, inside the caller's transaction; false when it is another one than was expected. */
export async function replacePack(
  session: SqlSession,
  replacement: PackReplacement,
  header: PackHeader,
  { body, bodyId }: PlacedBody,
): Promise<boolean> {
  const { statements } = session;
  const commit = await commitOf(session, replacement.ids);
  if (commit === null) return false;
  await session.all(statements.lockCommit, commit);
  const row = await session.get(statements.commitById, commit);
  const stored = {
    header: row === undefined ? null : bytesOf(row, "header"),
    hasBody: row !== undefined && (row["body_id"] !== null || nullable(row, "body_bytes", numberOf) !== null),
    slots: await slotsOf(session, commit),
  };
  if (!mayReplace(replacement, header, stored)) return false;
  await session.all(statements.passGate);
  // Where nothing but the header stays, nothing is sealed.
  if (replacement.body !== null) await demandSealingKey(session, header.dataKey);
  if (replacement.dataKey !== null) await session.add(statements.insertKey, ...keyValues(replacement.dataKey));
  const before = row === undefined ? null : nullable(row, "body_id", textOf);
  if (before !== null) await session.run(statements.dropParts, before);
  const digest = replacement.body === null ? sha256(replacement.header) : null;
  await session.run(statements.putPack, commit, replacement.header, body, bodyId, digest);
  return true;
}

/** What is left of a memento's commit, header first; null when no row says where that is. */
export async function salvage(session: SqlSession, id: string): Promise<SalvagedPack | null> {
  const commit = await commitOf(session, [id]);
  if (commit === null) return null;
  const row = await session.get(session.statements.commitWithBody, commit);
  const header = row === undefined ? null : bytesOf(row, "header");
  const bodyId = row === undefined ? null : nullable(row, "body_id", textOf);
  const whole = row === undefined ? null : nullable(row, "body", bytesOf);
  const body = bodyId === null ? whole : await partsOf(session, bodyId);
  const bytes = Buffer.concat([header ?? new Uint8Array(), body ?? new Uint8Array()]);
  return { bytes, header, body, mementos: await slotsOf(session, commit) };
}

async function slotsOf(session: SqlSession, commit: number): Promise<SalvagedPack["mementos"]> {
  const slots = (await readSlotsOf(session, [commit])).get(commit) ?? [];
  return slots.map((slot) => ({ id: idOf(slot), slot: slot.slot, removed: slot.removedBy !== 0 }));
}

/** The commit of the first of some mementos that is there. */
async function commitOf(session: SqlSession, ids: readonly string[]): Promise<number | null> {
  const found = new Map((await readSlots(session, ids)).map((slot) => [idOf(slot), slot.commit]));
  const first = ids.find((id) => found.has(id));
  return first === undefined ? null : (found.get(first) ?? null);
}
