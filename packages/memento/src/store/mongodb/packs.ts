import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { decodePackHeader, type PackHeader } from "../header.ts";
import { mayReplace } from "../replacement.ts";
import type { PackGlance, PackReplacement, SalvagedPack, StoredMemento } from "../store.ts";
import { demandSealingKey, findMementos, findAll, hiddenDraft, packDraft, type StowedPack } from "./changes.ts";
import type { Change } from "./committer.ts";
import type { Contents } from "./contents.ts";
import {
  commitOf,
  keyKey,
  mementoKey,
  orderOf,
  slotOf,
  timelineKey,
  type Effect,
  type LogDocument,
  type MementoDocument,
  type Stowed,
} from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/** A reader may meet a pack that is replaced or reclaimed at this moment; then it looks again. */
const LOOKS_MAX = 5;

/** Finds a memento's pack by its id; null when there is no such memento, DAMAGED when there should be one. */
export async function readMemento(access: StoreAccess, contents: Contents, id: string): Promise<StoredMemento | null> {
  for (let look = 1; ; look++) {
    const found = await findPack(access, id);
    if (found === null) return null;
    const { row, log } = found;
    const [header, body] = await Promise.all([
      log.header === null ? null : contents.fetch(log.header),
      log.body === null ? null : contents.fetch(log.body),
    ]);
    const removed = row.removedBy !== 0;
    const whole = header !== null && (log.body === null ? removed : body !== null);
    if (whole) {
      checkPlace(header, row);
      return { slot: slotOf(row.order), header, body, removed };
    }
    if (look === LOOKS_MAX) throw damaged(`The bytes of commit ${log._id}, which holds memento ${id}, are missing`);
  }
}

/** What `readMemento` would tell, without the bytes. */
export async function glanceAt(access: StoreAccess, id: string): Promise<PackGlance | null> {
  const found = await findPack(access, id, { header: 0, body: 0, effects: 0 });
  if (found === null) return null;
  const { row, log } = found;
  if (log.digest === null) throw damaged(`Commit ${log._id}, which holds memento ${id}, is no pack`);
  const { bodyBytes } = log;
  return { slot: slotOf(row.order), removed: row.removedBy !== 0, headerDigest: log.digest, bodyBytes };
}

async function findPack(
  access: StoreAccess,
  id: string,
  projection: Readonly<Record<string, 0>> = { effects: 0 },
): Promise<{ readonly row: MementoDocument; readonly log: LogDocument } | null> {
  const place = parseMementoId(id);
  if (place === undefined) return null;
  const { documents, maxTimeMS } = access;
  const key = mementoKey(place.timeline, place.sequence);
  const row = (await documents.findOne({ _id: key }, { maxTimeMS })) as MementoDocument | null;
  if (row === null) {
    const timeline = await documents.findOne({ _id: timelineKey(place.timeline) }, { maxTimeMS });
    if (timeline === null || Number(timeline["headSequence"]) < place.sequence) return null;
    throw damaged(`The document ${key} is missing`);
  }
  const commit = commitOf(row.order);
  const log = (await documents.findOne({ _id: commit }, { projection, maxTimeMS })) as LogDocument | null;
  if (log === null) throw damaged(`Commit ${commit}, which holds memento ${row.memento}, is missing`);
  if (row.memento === id) return { row, log };
  // Another memento has the place, unless the document is not as it was written.
  if (row.entry.includes(JSON.stringify(id))) throw damaged(`The document ${key} names another memento than its entry`);
  return null;
}

function checkPlace(header: Uint8Array, { order, memento }: MementoDocument): void {
  const { entries } = decodePackHeader(header, `commit ${commitOf(order)}`);
  if (entries[slotOf(order)]?.id === memento) return;
  throw damaged(`Slot ${slotOf(order)} of commit ${commitOf(order)} is not memento ${memento}`);
}

/** The log documents of these mementos' packs, by their numbers. */
async function packsOf(access: StoreAccess, ids: readonly string[]): Promise<ReadonlyMap<number, LogDocument>> {
  const numbers = (await findMementos(access, ids)).map(({ order }) => commitOf(order));
  const found = await findAll(access, [...new Set(numbers)], { effects: 0 });
  return found as unknown as ReadonlyMap<number, LogDocument>;
}

/** What the index has in a commit. */
async function slotsIn({ documents, maxTimeMS }: StoreAccess, commit: number): Promise<SalvagedPack["mementos"]> {
  const filter = { order: { $gte: orderOf(commit, 0), $lt: orderOf(commit + 1, 0) } };
  const rows = await documents.find(filter, { projection: { entry: 0 }, sort: { order: 1 }, maxTimeMS }).toArray();
  return (rows as unknown as MementoDocument[]).map(({ memento, order, removedBy }) => ({
    id: memento,
    slot: slotOf(order),
    removed: removedBy !== 0,
  }));
}

/** What a reclaiming came to, and what can be deleted once it is committed. */
export interface Reclaimed {
  readonly packs: number;
  readonly bytes: number;
  readonly freed: readonly Stowed[];
}

/** Drops the bodies of those packs of `ids` in which nothing lives any more. */
export function reclaimChange(access: StoreAccess, ids: readonly string[]): Change<Reclaimed> {
  return {
    groups: false,
    prepare: async () => {
      const packs = [...(await packsOf(access, ids)).values()].filter(({ body }) => body !== null);
      const slots = await Promise.all(packs.map(async ({ _id }) => await slotsIn(access, _id)));
      const dead = packs.filter((_, index) => slots[index]?.every(({ removed }) => removed) === true);
      const bytes = dead.reduce((sum, { bodyBytes }) => sum + (bodyBytes ?? 0), 0);
      const answer = { packs: dead.length, bytes, freed: dead.flatMap(({ body }) => body ?? []) };
      if (dead.length === 0) return { draft: null, answer };
      const fields = { body: null, bodyBytes: null };
      return { draft: hiddenDraft(dead.map(({ _id }) => ({ act: "change", id: _id, fields }))), answer };
    },
  };
}

/** What a replacement came to, and what can be deleted once it is committed, or was not. */
export interface Replaced {
  readonly done: boolean;
  readonly freed: readonly Stowed[];
}

/** Replaces a pack by one whose bytes were stowed; not done when it is another one than was expected. */
export function replaceChange(
  access: StoreAccess,
  contents: Contents,
  replacement: PackReplacement,
  header: PackHeader,
  stowed: StowedPack,
): Change<Replaced> {
  const refused: Replaced = { done: false, freed: [stowed.header, ...(stowed.body === null ? [] : [stowed.body])] };
  return {
    groups: false,
    prepare: async () => {
      const [before] = (await packsOf(access, replacement.ids)).values();
      if (before === undefined) return { draft: null, answer: refused };
      const stored = {
        header: before.header === null ? null : await contents.fetch(before.header),
        hasBody: before.body !== null,
        slots: await slotsIn(access, before._id),
      };
      if (!mayReplace(replacement, header, stored)) return { draft: null, answer: refused };
      const { dataKey } = header;
      const { documents, maxTimeMS } = access;
      // Where nothing but the header stays, nothing is sealed.
      if (replacement.body !== null && dataKey !== null)
        demandSealingKey(dataKey, await documents.findOne({ _id: keyKey(dataKey) }, { maxTimeMS }));
      const { kind: _, removed: __, ...fields } = packDraft(stowed, replacement.header, replacement.body);
      const effects: Effect[] = [{ act: "change", id: before._id, fields }];
      const freed = [before.header, before.body].flatMap((content) => content ?? []);
      return { draft: hiddenDraft(effects), answer: { done: true, freed } };
    },
  };
}

/** What is left of a memento's pack; null when the index does not say where that is. */
export async function salvagePack(access: StoreAccess, contents: Contents, id: string): Promise<SalvagedPack | null> {
  const [row] = await findMementos(access, [id]);
  if (row === undefined) return null;
  const commit = commitOf(row.order);
  const log = (await findAll(access, [commit], { effects: 0 })).get(commit) as LogDocument | undefined;
  const [header, body] = await Promise.all(
    [log?.header, log?.body].map(async (stowed) => (stowed ? await contents.rest(stowed) : null)),
  );
  const bytes = Buffer.concat([header ?? new Uint8Array(), body ?? new Uint8Array()]);
  return { bytes, header: header ?? null, body: body ?? null, mementos: await slotsIn(access, commit) };
}

function damaged(problem: string): MementoError {
  return new MementoError("DAMAGED", problem);
}
