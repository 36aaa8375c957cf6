import { MementoError } from "../../core/errors.ts";
import { caretakerMoved } from "../admit.ts";
import type { SeenCaretaker } from "../store.ts";
import { isRemoved, type CaretakerEntry } from "./caretaker-log.ts";
import { noticeEntry } from "./caretakers.ts";
import type { Catalogue, StoreParts } from "./catalogue.ts";
import type { FoundMemento, Mementos } from "./mementos.ts";
import type { Packs } from "./packs.ts";
import { SequenceSet } from "./sequence-set.ts";
import { inOrder } from "./turns.ts";

/** What removing works with. */
export interface RemovalParts extends StoreParts {
  readonly catalogue: Catalogue;
  readonly mementos: Mementos;
  readonly packs: Packs;
}

/**
 * Removes mementos: one entry of their caretaker's log names them all and carries the notice, so it is done or not done,
 * however many timelines they are of. Nothing else says that a memento is removed. Gives the ids that were live.
 *
 * INVALID_ARGUMENT for mementos of more than one caretaker: they share no log, and so no commit; and for a caretaker that was seen
 * and is not theirs.
 */
export async function removeMementos(
  { catalogue, mementos, tuning }: RemovalParts,
  ids: readonly string[],
  notice: Uint8Array,
  seen: SeenCaretaker | undefined,
): Promise<readonly string[]> {
  const found = new Map<string, FoundMemento>();
  for await (const [id, memento] of findAll(mementos, ids, tuning)) if (memento !== null) found.set(id, memento);
  const caretakers = new Set([...found.values()].map(({ timeline }) => timeline.record.caretaker));
  const [caretaker] = caretakers;
  if (caretaker === undefined) return [];
  if (caretakers.size > 1) {
    throw new MementoError("INVALID_ARGUMENT", `One removal is of one caretaker, not of ${[...caretakers].join(", ")}`);
  }
  if (seen !== undefined && seen.name !== caretaker)
    throw new MementoError("INVALID_ARGUMENT", `A removal of ${caretaker}'s mementos is not decided by ${seen.name}`);
  // A removal must not outlive its memento: another one could be appended at the same place, and would seem removed.
  for (const { timeline } of found.values()) await timeline.log.settle();
  return await catalogue.caretaker(caretaker).commit<readonly string[]>(({ state }) => {
    const live = [...found].filter(([, { timeline, sequence }]) => !isRemoved(state, timeline.record.key, sequence));
    if (live.length === 0) return { entry: null, result: [] };
    if (seen !== undefined && (state.record?.version ?? 0) !== seen.version) throw caretakerMoved(seen);
    return { entry: removalEntry(live, notice), result: live.map(([id]) => id) };
  });
}

function removalEntry(live: readonly (readonly [string, FoundMemento])[], notice: Uint8Array): CaretakerEntry {
  const sets = new Map<string, SequenceSet>();
  for (const [, { timeline, sequence }] of live) {
    const set = sets.get(timeline.record.key) ?? new SequenceSet();
    set.add(sequence);
    sets.set(timeline.record.key, set);
  }
  const removed = Object.fromEntries([...sets].map(([key, set]) => [key, set.ranges]));
  return noticeEntry(notice, { removed });
}

/** Empties the packs of these mementos in which nothing is left that is live, or that could still be appended. */
export async function reclaimPacks(
  parts: RemovalParts,
  ids: readonly string[],
): Promise<{ readonly packs: number; readonly bytes: number }> {
  const packs = new Map<string, string[]>();
  for await (const [id, found] of findAll(parts.mementos, ids, parts.tuning)) {
    if (found === null) continue;
    const its = packs.get(found.append.pack);
    if (its === undefined) packs.set(found.append.pack, [id]);
    else its.push(id);
  }
  let [count, bytes] = [0, 0];
  const reclaimed = inOrder(packs, parts.tuning.requestsAtOnce, ([pack, its]) => reclaimPack(parts, pack, its));
  for await (const freed of reclaimed) {
    if (freed === null) continue;
    count += 1;
    bytes += freed;
  }
  return { packs: count, bytes };
}

/** Each memento once, in the ids' order. */
function findAll(
  mementos: Mementos,
  ids: readonly string[],
  { requestsAtOnce }: RemovalParts["tuning"],
): AsyncIterable<readonly [id: string, found: FoundMemento | null]> {
  return inOrder(new Set(ids), requestsAtOnce, async (id) => [id, await mementos.find(id)] as const);
}

/** The bytes that were freed; null when the pack was left as it is. */
async function reclaimPack(
  { packs, mementos }: RemovalParts,
  pack: string,
  ids: readonly string[],
): Promise<number | null> {
  const { header, body, understood } = await packs.demand(pack, ids);
  if (body === null) return null;
  const absent: string[] = [];
  for (const { id } of understood.entries) {
    const found = await mementos.find(id);
    if (found === null) absent.push(id);
    // Its writer was voided once, and appended it by another pack.
    else if (found.append.pack !== pack) continue;
    else if (!(await mementos.isRemoved(found))) return null;
    // The body must not be gone while a removal that was only seen is lost.
    else await mementos.settle(found);
  }
  // A slot that was not taken may be of a writer who is on the way. It must not arrive at an empty pack.
  for (const id of absent) if (!(await mementos.void(id))) return null;
  await packs.reclaim(pack, header);
  return body.byteLength;
}
