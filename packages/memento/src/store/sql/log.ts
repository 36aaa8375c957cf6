import { sha256 } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { bytesOf, damagedRow, nullable, textOf } from "../columns.ts";
import { decodeHeader, type CommitHeader } from "../header.ts";
import type { StoredMemento } from "../store.ts";
import { bodyOf } from "./bodies.ts";
import { numberOf, type Row } from "./rows.ts";
import type { Place, SqlSession } from "./session.ts";

/** Where one memento lies and whether it lives, from its row. */
export interface Slot {
  readonly timeline: string;
  readonly sequence: number;
  readonly nonce: string;
  readonly commit: number;
  readonly slot: number;
  readonly removedBy: number;
}

/** How many places or ids one statement names. */
export const LISTED_AT_ONCE = 500;

/** The slot of a memento's row. */
export function slotOf(row: Row): Slot {
  return {
    timeline: textOf(row, "timeline"),
    sequence: numberOf(row, "sequence"),
    nonce: textOf(row, "nonce"),
    commit: numberOf(row, "commit_id"),
    slot: numberOf(row, "slot"),
    removedBy: numberOf(row, "removed_by"),
  };
}

/** The id of the memento that a slot is of. */
export const idOf = ({ timeline, sequence, nonce }: Pick<Slot, "timeline" | "sequence" | "nonce">): string =>
  `${timeline}-${sequence}-${nonce}`;

/** The places that ids name, each once; what is no id is passed over. */
export function placesOf(ids: readonly string[]): readonly Place[] {
  return [...new Set(ids)].flatMap((id) => {
    const place = parseMementoId(id);
    return place === undefined ? [] : [[place.timeline, place.sequence] as const];
  });
}

/** The slots of those ids that are there. */
export async function readSlots(session: SqlSession, ids: readonly string[]): Promise<readonly Slot[]> {
  const wanted = new Set(ids);
  const slots: Slot[] = [];
  const places = placesOf(ids);
  for (let start = 0; start < places.length; start += LISTED_AT_ONCE) {
    const rows = await session.all(session.statements.slots, places.slice(start, start + LISTED_AT_ONCE));
    slots.push(...rows.map((row) => slotOf(row)).filter((slot) => wanted.has(idOf(slot))));
  }
  return slots;
}

/** The slots of commits, by the commits' numbers, each list in the order of the slots. */
export async function readSlotsOf(
  session: SqlSession,
  commits: readonly number[],
): Promise<ReadonlyMap<number, readonly Slot[]>> {
  const found = new Map<number, Slot[]>(commits.map((commit) => [commit, []]));
  if (commits.length === 0) return found;
  for (const row of await session.all(session.statements.slotsOf, commits)) {
    const slot = slotOf(row);
    found.get(slot.commit)?.push(slot);
  }
  return found;
}

/** The header of a commit's row; DAMAGED when it is not readable, or not the one that was there when its pack was reclaimed. */
export function headerOf(row: Row, commit: number): CommitHeader {
  const bytes = bytesOf(row, "header");
  const digest = nullable(row, "header_digest", textOf);
  if (digest !== null && digest !== sha256(bytes)) throw damagedRow(`The header of commit ${commit} was changed`);
  return decodeHeader(bytes, `commit ${commit}`);
}

/** The header of a commit's row; null where it is not readable. */
export function readableHeader(row: Row, commit: number): CommitHeader | null {
  try {
    return headerOf(row, commit);
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}

/** The slots of a pack that were appended, with their entries; none for a notice. Rows that contradict the header are passed over. */
export function acceptedSlots(
  header: CommitHeader,
  slots: readonly Slot[],
): readonly { readonly entry: MementoEntry; readonly slot: Slot }[] {
  if (header.type !== "pack") return [];
  return slots.flatMap((slot) => {
    const entry = header.entries[slot.slot];
    return entry !== undefined && entry.timeline === slot.timeline && entry.sequence === slot.sequence
      ? [{ entry, slot }]
      : [];
  });
}

/** The header of a place's commit, and the entry of its slot; DAMAGED unless they belong together. */
function packOf(
  row: Row,
  { timeline, sequence, commit, slot }: Pick<Slot, "timeline" | "sequence" | "commit" | "slot">,
): readonly [Uint8Array, MementoEntry] {
  const bytes = nullable(row, "header", bytesOf);
  if (bytes === null) throw damagedRow(`Commit ${commit}, which holds memento ${timeline}-${sequence}, is missing`);
  return [bytes, entryAt(headerOf(row, commit), { timeline, sequence, commit, slot })];
}

/** The entry of a slot; DAMAGED when the pack holds another one there. */
export function entryAt(
  header: CommitHeader,
  { timeline, sequence, commit, slot }: Pick<Slot, "timeline" | "sequence" | "commit" | "slot">,
): MementoEntry {
  const entry = header.type === "pack" ? header.entries[slot] : undefined;
  if (entry?.timeline === timeline && entry.sequence === sequence) return entry;
  throw damagedRow(`Slot ${slot} of commit ${commit} is not memento ${timeline}-${sequence}`);
}

/** What became of a look for a memento: the parts of its body have to be read in a snapshot. */
export type Found = { readonly memento: StoredMemento | null } | { readonly inParts: true };

/**
 * Finds a memento's pack by its id; null when there is no such memento, DAMAGED when there should be one. Says `inParts`
 * for a body that is more than one value, unless the session is a `snapshot`.
 */
export async function findMemento(session: SqlSession, id: string, snapshot: boolean): Promise<Found> {
  const place = parseMementoId(id);
  if (place === undefined) return { memento: null };
  const { timeline, sequence } = place;
  const row = await session.get(session.statements.pack, timeline, sequence);
  if (row === undefined) {
    const standing = await session.get(session.statements.standing, timeline);
    if (standing === undefined || numberOf(standing, "head_sequence") < sequence) return { memento: null };
    // It may have been appended between the two looks.
    if (snapshot) throw damagedRow(`The row of memento ${timeline}-${sequence} is missing`);
    return { inParts: true };
  }
  const [commit, slot, nonce] = [numberOf(row, "commit_id"), numberOf(row, "slot"), textOf(row, "nonce")];
  const [header, entry] = packOf(row, { timeline, sequence, commit, slot });
  if (id !== idOf({ timeline, sequence, nonce })) {
    // Another memento has the place, unless the commit says that this one has it.
    if (entry.id !== id) return { memento: null };
    throw new MementoError("DAMAGED", `The row of memento ${id} has another id than its commit ${commit}`);
  }
  if (row["body_id"] !== null && !snapshot) return { inParts: true };
  const body = await bodyOf(session, row);
  return { memento: { slot, header, body, removed: numberOf(row, "removed_by") !== 0 } };
}
