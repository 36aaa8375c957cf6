import { MementoError } from "../core/errors.ts";
import { parseMementoId } from "../core/ids.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { TimelineHead } from "../core/timeline.ts";
import type { UncheckedRecord } from "./apart.ts";
import { decodePackHeader, type PackHeader } from "./header.ts";
import type { AppendBatch, AppendRecord, AppendResult, EntryPlace, SeenCaretaker } from "./store.ts";

/** What an append is measured against: a timeline as it stands now. */
export interface Standing {
  readonly head: TimelineHead | null;
  readonly epoch: number;
}

/** What a driver answers while a batch is admitted; called inside its commit, so that nothing moves meanwhile. */
export interface StandingView {
  /** null when there is no such timeline. */
  timeline(key: string): Standing | null;
  /** The id of the live memento that has the name; null when none has. */
  holder(caretaker: string, name: string): string | null;
}

/** A name and the memento that has it from this commit on. */
export interface NameMove {
  readonly caretaker: string;
  readonly name: string;
  readonly id: string;
}

/** What a commit of the batch has to write. Nothing at all when `accepted` is empty. */
export interface Admission {
  /** One per record, in the batch's order. */
  readonly results: readonly AppendResult[];
  /** Slots to store, ascending. */
  readonly accepted: readonly number[];
  /** The new head of each timeline that moves. */
  readonly heads: ReadonlyMap<string, TimelineHead>;
  /** In the order of the slots: the last one of a name counts. */
  readonly names: readonly NameMove[];
}

/**
 * Checks a batch before it is committed, and gives its header. INVALID_ARGUMENT for one that contradicts itself,
 * PLAINTEXT_REFUSED for an unsealed pack in a sealed store, CAPABILITY_MISSING for a body that is too large.
 */
export function checkBatch(batch: AppendBatch, store: PackRules): PackHeader {
  const header = decodePackHeader(batch.header, "the batch");
  checkPack({ isSealed: header.suite === "A256GCM", bodyBytes: batch.body.byteLength }, store);
  if (header.entries.length !== batch.records.length || batch.records.length === 0) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The pack names ${header.entries.length} mementos and the batch ${batch.records.length}`,
    );
  }
  checkRecords(batch.records);
  for (const [slot, { entry }] of batch.records.entries())
    if (header.entries[slot]?.id !== entry.id) throw contradiction(slot, entry);
  return header;
}

/** What a store demands of packs. */
interface PackRules {
  readonly sealed: boolean;
  readonly bodyBytesMax: number;
}

/** Checks a pack as `checkBatch` does, which is no question of what is in it. */
export function checkPack(
  { isSealed, bodyBytes }: { readonly isSealed: boolean; readonly bodyBytes: number },
  store: PackRules,
): void {
  if (store.sealed && !isSealed)
    throw new MementoError("PLAINTEXT_REFUSED", "The pack is not sealed, and this store takes sealed ones only");
  if (bodyBytes > store.bodyBytesMax) {
    const sizes = `${bodyBytes} bytes, and the store takes ${store.bodyBytesMax} at most`;
    throw new MementoError("CAPABILITY_MISSING", `The pack's body has ${sizes}`);
  }
}

/** Checks that each record is about the place that its id says; INVALID_ARGUMENT. */
export function checkRecords(records: readonly UncheckedRecord[]): void {
  for (const [slot, { entry, expectedSequence }] of records.entries()) {
    const place = parseMementoId(entry.id);
    const sound =
      place?.timeline === entry.timeline &&
      place.sequence === entry.sequence &&
      entry.sequence === expectedSequence + 1;
    if (!sound) throw contradiction(slot, entry);
  }
}

const contradiction = (slot: number, { id }: MementoEntry): MementoError =>
  new MementoError("INVALID_ARGUMENT", `Slot ${slot} of the batch contradicts its id ${id}`);

/** What a driver throws for a pack under a data key that was retired or destroyed. */
export function keyRetired(id: string): MementoError {
  return new MementoError("KEY_RETIRED", `The data key ${id} was retired: nothing more is sealed with it`, {
    details: { dataKey: id },
  });
}

/** What a driver throws for a removal that was decided by another version of a caretaker's record than the present one. */
export function caretakerMoved({ name }: SeenCaretaker): MementoError {
  return new MementoError("CONFLICT", `The caretaker ${name} was changed meanwhile: nothing was removed`, {
    hint: "Look at its pins again, and repeat the removal.",
    details: { caretaker: name },
  });
}

/**
 * Decides what becomes of each record. All records of a timeline are taken, or none: then the one that is at fault gets
 * its own refusal, and the others of its timeline a conflict with the head that stays. A stale epoch is told before a
 * stale head, and a stale head before a taken name.
 */
export function admit(batch: Pick<AppendBatch<EntryPlace>, "records">, view: StandingView): Admission {
  const results: AppendResult[] = batch.records.map(() => ({ outcome: "appended" }));
  const heads = new Map<string, TimelineHead>();
  const accepted: number[] = [];
  const taken = new TakenNames(view);
  for (const [timeline, slots] of slotsByTimeline(batch.records)) {
    const standing = view.timeline(timeline);
    const refusal = admitTimeline(batch.records, slots, standing, taken);
    const last = batch.records[slots.at(-1) ?? -1];
    if (refusal !== null || last === undefined) {
      for (const slot of slots) {
        results[slot] = slot === refusal?.slot ? refusal.result : { outcome: "conflict", head: standing?.head ?? null };
      }
      continue;
    }
    heads.set(timeline, { id: last.entry.id, sequence: last.entry.sequence, check: last.headCheck });
    accepted.push(...slots);
  }
  accepted.sort((a, b) => a - b);
  const names: NameMove[] = [];
  for (const slot of accepted) {
    const entry = batch.records[slot]?.entry;
    if (entry?.name !== undefined) names.push({ caretaker: entry.caretaker, name: entry.name, id: entry.id });
  }
  return { results, accepted, heads, names };
}

function slotsByTimeline(records: readonly AppendRecord<EntryPlace>[]): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const [slot, { entry }] of records.entries()) {
    const group = groups.get(entry.timeline);
    if (group === undefined) groups.set(entry.timeline, [slot]);
    else group.push(slot);
  }
  return groups;
}

interface Refusal {
  readonly slot: number;
  readonly result: AppendResult;
}

function admitTimeline(
  records: readonly AppendRecord<EntryPlace>[],
  slots: readonly number[],
  standing: Standing | null,
  taken: TakenNames,
): Refusal | null {
  const head = standing?.head ?? null;
  let sequence = head?.sequence ?? 0;
  const names: NameMove[] = [];
  for (const slot of slots) {
    const record = records[slot];
    if (record === undefined) continue;
    const { caretaker, name, id, epoch } = record.entry;
    if (standing === null) return { slot, result: { outcome: "conflict", head: null } };
    if (epoch !== standing.epoch) return { slot, result: { outcome: "fenced", epoch: standing.epoch } };
    if (record.expectedSequence !== sequence) return { slot, result: { outcome: "conflict", head } };
    if (name !== undefined) {
      const holder =
        names.findLast((move) => move.caretaker === caretaker && move.name === name)?.id ??
        taken.holder(caretaker, name);
      if (holder !== null && !record.replaceName) return { slot, result: { outcome: "exists", id: holder } };
      names.push({ caretaker, name, id });
    }
    sequence += 1;
  }
  taken.take(names);
  return null;
}

/** The store's names, and over them those that the batch has taken so far. */
class TakenNames {
  readonly #view: StandingView;
  readonly #moves = new Map<string, string>();

  constructor(view: StandingView) {
    this.#view = view;
  }

  holder(caretaker: string, name: string): string | null {
    return this.#moves.get(JSON.stringify([caretaker, name])) ?? this.#view.holder(caretaker, name);
  }

  take(moves: readonly NameMove[]): void {
    for (const { caretaker, name, id } of moves) this.#moves.set(JSON.stringify([caretaker, name]), id);
  }
}
