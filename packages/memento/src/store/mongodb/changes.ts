import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { Lease, TimelineRecord, TimelineState } from "../../core/timeline.ts";
import { admit, keyRetired, caretakerMoved } from "../admit.ts";
import type { PackHeader } from "../header.ts";
import type { AppendBatch, AppendResult, CaretakerRecord, LeaseChange, SeenCaretaker } from "../store.ts";
import type { Change, Draft } from "./committer.ts";
import {
  addressText,
  caretakerKey,
  FACTS,
  headOf,
  keyKey,
  leaseFields,
  mementoFields,
  mementoKey,
  nameKey,
  SLOTS_MAX,
  timelineFields,
  timelineKey,
  timelineOf,
  type Effect,
  type MementoDocument,
  type Stowed,
  type StoreDocument,
} from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/** A pack's bytes as they were stowed before its commit. */
export interface StowedPack {
  readonly header: Stowed;
  readonly body: Stowed | null;
}

const IDS_AT_ONCE = 1_000;

/** Appends a batch whose bytes were stowed. */
export function appendChange(
  batch: AppendBatch,
  { entries, dataKey }: PackHeader,
  stowed: StowedPack,
): Change<readonly AppendResult[]> {
  if (entries.length > SLOTS_MAX)
    throw new MementoError("CAPABILITY_MISSING", `A pack holds ${SLOTS_MAX} mementos at most, not ${entries.length}`);
  const asked = new Set<string>(dataKey === null ? [] : [keyKey(dataKey)]);
  for (const { timeline, caretaker, name } of entries) {
    asked.add(timelineKey(timeline));
    if (name !== undefined) asked.add(nameKey(caretaker, name));
  }
  return {
    groups: true,
    prepare: async (view, number) => {
      const known = await view.documents([...asked]);
      const { results, accepted, heads, names } = admit(batch, {
        timeline: (key) => {
          const found = known.get(timelineKey(key)) ?? null;
          return found && { head: headOf(found), epoch: Number(found["epoch"]) };
        },
        holder: (caretaker, name) => holderOf(known.get(nameKey(caretaker, name)) ?? null),
      });
      if (accepted.length === 0) return { draft: null, answer: results };
      demandSealingKey(dataKey, dataKey === null ? null : (known.get(keyKey(dataKey)) ?? null));
      const effects: Effect[] = [];
      for (const slot of accepted) {
        const entry = entries[slot];
        if (entry === undefined) continue;
        const { timeline, sequence } = entry;
        effects.push({ act: "insert", id: mementoKey(timeline, sequence), fields: mementoFields(entry, number, slot) });
      }
      for (const [timeline, { id, sequence, check }] of heads) {
        const fields = { head: id, headSequence: sequence, headCheck: check };
        effects.push({ act: "change", id: timelineKey(timeline), fields });
      }
      // A document changes once in a commit: of a name that moves twice the last place counts.
      const moves = new Map(names.map((move) => [nameKey(move.caretaker, move.name), move]));
      for (const { caretaker, name, id } of moves.values()) effects.push(...nameEffects(caretaker, name, id));
      const draft = { ...packDraft(stowed, batch.header, batch.body), accepted, effects };
      return { draft, answer: results };
    },
  };
}

/** What a name's document becomes: the memento that has it, or null. */
function nameEffects(caretaker: string, name: string, memento: string | null): readonly Effect[] {
  const id = nameKey(caretaker, name);
  return [
    { act: "create", id, fields: { holder: null } },
    { act: "change", id, fields: { holder: memento } },
  ];
}

/** The id of the memento that has the name of this document; null when none has. */
export const holderOf = (document: StoreDocument | null): string | null =>
  typeof document?.["holder"] === "string" ? document["holder"] : null;

/** Throws KEY_RETIRED when nothing may be sealed with this data key any more. */
export function demandSealingKey(id: string | null, document: StoreDocument | null): void {
  if (id !== null && (document?.["retired"] === true || document?.["dropped"] === true)) throw keyRetired(id);
}

/** What of a log document is its pack's. */
export function packDraft(
  { header, body }: StowedPack,
  headerBytes: Uint8Array,
  bodyBytes: Uint8Array | null,
): Omit<Draft, "accepted" | "effects"> {
  return {
    kind: "pack",
    header,
    headerBytes: headerBytes.byteLength,
    digest: sha256(headerBytes),
    body,
    bodyBytes: bodyBytes?.byteLength ?? null,
    removed: null,
  };
}

/** A commit that is no event. */
export function hiddenDraft(effects: readonly Effect[]): Draft {
  const nothing = { header: null, headerBytes: 0, digest: null, body: null, bodyBytes: null, removed: null };
  return { kind: "hidden", ...nothing, accepted: [], effects };
}

/** The commit of a notice, with what it does besides. */
export function noticeDraft(
  notice: Uint8Array,
  header: Stowed,
  number: number,
  effects: readonly Effect[],
  removed: readonly string[] | null = null,
): Draft {
  return {
    ...hiddenDraft([...effects, { act: "change", id: FACTS, fields: { lastNotice: number } }]),
    kind: "notice",
    header,
    headerBytes: notice.byteLength,
    digest: sha256(notice),
    removed,
  };
}

/** Logs a notice. */
export function noteChange(notice: Uint8Array, header: Stowed): Change<void> {
  return {
    groups: true,
    prepare: async (_, number) => ({ draft: noticeDraft(notice, header, number, []), answer: undefined }),
  };
}

/** Makes a timeline, or gives the one that has its address. */
export function timelineChange(access: StoreAccess, record: TimelineRecord, lease: Lease): Change<TimelineState> {
  return {
    groups: false,
    prepare: async (_, number) => {
      const { documents, maxTimeMS } = access;
      const id = timelineKey(record.key);
      const found = await documents.findOne({ $or: [{ address: addressText(record) }, { _id: id }] }, { maxTimeMS });
      if (found !== null && found["address"] === addressText(record)) return { draft: null, answer: timelineOf(found) };
      if (found !== null) throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
      const fields = timelineFields(record, lease, number);
      const draft = hiddenDraft([{ act: "insert", id, fields }]);
      return { draft, answer: { record, head: null, lease, request: null } };
    },
  };
}

/** Takes a lease. A commit of its own, so that whoever appends under the one before it comes too late from here on. */
export function leaseChange({ timeline, lease }: LeaseChange): Change<boolean> {
  const id = timelineKey(timeline);
  return {
    groups: true,
    prepare: async (view) => {
      const found = (await view.documents([id])).get(id) ?? null;
      if (found?.["epoch"] !== lease.epoch - 1) return { draft: null, answer: false };
      return { draft: hiddenDraft([{ act: "change", id, fields: leaseFields(lease) }]), answer: true };
    },
  };
}

/** The notice of a removal, and the caretaker that it was decided by. */
interface Removal {
  readonly notice: Uint8Array;
  readonly header: Stowed;
  readonly seen: SeenCaretaker | undefined;
}

/** Removes what lives of `ids`, with its names. */
export function removeChange(
  access: StoreAccess,
  ids: readonly string[],
  { notice, header, seen }: Removal,
): Change<readonly string[]> {
  return {
    groups: false,
    prepare: async (view, number) => {
      const live = (await findMementos(access, ids)).filter(({ removedBy }) => removedBy === 0);
      if (live.length === 0) return { draft: null, answer: [] };
      if (seen !== undefined) {
        const id = caretakerKey(seen.name);
        const stored = caretakerOf((await view.documents([id])).get(id) ?? null);
        if ((stored?.version ?? 0) !== seen.version) throw caretakerMoved(seen);
      }
      const removed = live.map(({ memento }) => memento);
      const effects: Effect[] = live.map(({ _id }) => ({ act: "change", id: _id, fields: { removedBy: number } }));
      const held = await heldNames(access, live);
      for (const { caretaker, name } of held) effects.push(...nameEffects(caretaker, name ?? "", null));
      return { draft: noticeDraft(notice, header, number, effects, removed), answer: removed };
    },
  };
}

/** The index documents of those of `ids` that are there, each once, in their order. */
export async function findMementos(access: StoreAccess, ids: readonly string[]): Promise<readonly MementoDocument[]> {
  const wanted = new Map<string, string>();
  for (const id of ids) {
    const place = parseMementoId(id);
    if (place !== undefined) wanted.set(id, mementoKey(place.timeline, place.sequence));
  }
  const found = await findAll(access, [...new Set(wanted.values())]);
  return [...wanted].flatMap(([id, key]) => {
    const document = found.get(key) as MementoDocument | undefined;
    return document?.memento === id ? [document] : [];
  });
}

/** Documents by their ids, however many. */
export async function findAll(
  { documents, maxTimeMS }: StoreAccess,
  ids: readonly (string | number)[],
  projection: Readonly<Record<string, 0 | 1>> = {},
): Promise<ReadonlyMap<string | number, StoreDocument>> {
  const found = new Map<string | number, StoreDocument>();
  for (let start = 0; start < ids.length; start += IDS_AT_ONCE) {
    const some = ids.slice(start, start + IDS_AT_ONCE);
    const page = await documents.find({ _id: { $in: some } }, { projection, maxTimeMS }).toArray();
    for (const document of page) found.set(document._id, document);
  }
  return found;
}

/** Those of the mementos that have their names still. */
async function heldNames(access: StoreAccess, live: readonly MementoDocument[]): Promise<readonly MementoDocument[]> {
  const named = live.filter(({ name }) => name !== undefined);
  const keys = named.map(({ caretaker, name }) => nameKey(caretaker, name ?? ""));
  const names = await findAll(access, [...new Set(keys)]);
  return named.filter(({ memento }, index) => holderOf(names.get(keys[index] ?? "") ?? null) === memento);
}

/** Stores a caretaker's next version. */
export function caretakerChange(record: CaretakerRecord, notice: Uint8Array, header: Stowed): Change<boolean> {
  const id = caretakerKey(record.name);
  return {
    groups: true,
    prepare: async (view, number) => {
      const stored = caretakerOf((await view.documents([id])).get(id) ?? null);
      if ((stored?.version ?? 0) !== record.version - 1) return { draft: null, answer: false };
      const effects: Effect[] = [
        { act: "create", id, fields: { is: "caretaker", policy: null } },
        { act: "change", id, fields: { policy: JSON.stringify(record) } },
      ];
      return { draft: noticeDraft(notice, header, number, effects), answer: true };
    },
  };
}

/** The caretaker of a document; null where it was removed. */
export function caretakerOf(document: StoreDocument | null): CaretakerRecord | null {
  const text = document?.["policy"];
  return typeof text === "string" ? (JSON.parse(text) as CaretakerRecord) : null;
}

/** Removes a caretaker of which nothing lives. */
export function removeCaretakerChange(
  access: StoreAccess,
  name: string,
  notice: Uint8Array,
  header: Stowed,
): Change<boolean> {
  return {
    groups: false,
    prepare: async (view, number) => {
      const id = caretakerKey(name);
      if (caretakerOf((await view.documents([id])).get(id) ?? null) === null) return { draft: null, answer: false };
      const { documents, maxTimeMS } = access;
      const live = { caretaker: name, removedBy: 0, order: { $gte: 0 } };
      if ((await documents.findOne(live, { maxTimeMS })) !== null) return { draft: null, answer: false };
      const effects: Effect[] = [{ act: "change", id, fields: { policy: null } }];
      return { draft: noticeDraft(notice, header, number, effects), answer: true };
    },
  };
}
