import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import { openWhole } from "../open-whole.ts";
import type { Vault } from "../vault.ts";

/** The piece of a pipeline's head in which an unfinished rollback names its target. */
const RESTORE_PIECE = "restore";

/** Which mementos are wanted for themselves, and which are garbage unless one of those needs them. */
export interface RootListing {
  readonly roots: ReadonlySet<string>;
  /** Those that were removed before the pins were read. Only they can be freed. */
  readonly removed: ReadonlySet<string>;
}

/** Heads of timelines, and what an unfinished rollback goes back to, each with the reason why it stays. */
export async function standingMementos(vault: Vault, caretaker: string | null): Promise<Map<string, string>> {
  const standing = new Map<string, string>();
  for await (const state of vault.store.timelines(caretaker)) {
    const { head } = vault.verified(state);
    if (head !== null) standing.set(head.id, "head");
  }
  for await (const { entry } of vault.store.query(mementoQuery({ caretaker, status: "reverting", removed: true }))) {
    if (!standing.has(entry.id)) continue;
    const { target, content } = await restoreAt(vault, entry);
    for (const id of [target, content])
      if (typeof id === "string" && !standing.has(id)) standing.set(id, "an unfinished rollback goes back to it");
  }
  return standing;
}

interface Restore {
  readonly target?: string | null;
  readonly content?: string;
}

/**
 * What the head of an unfinished rollback says of it. Where another memento stands in front of that head by now, and its space is
 * free, the present head says: whoever goes on with the same rollback has appended another such head.
 */
async function restoreAt(vault: Vault, { id, timeline }: MementoEntry): Promise<Restore> {
  for (let head = id; ;) {
    try {
      const memento = await vault.load(head);
      const restore = memento.entry.status === "reverting" ? await memento.value(RESTORE_PIECE) : null;
      return restore ?? {};
    } catch (error) {
      const mayBeFreed = isMementoError(error, "NOT_FOUND") || isMementoError(error, "DAMAGED");
      const now = mayBeFreed ? (await vault.timeline(timeline)).head : null;
      if (now === null || now.id === head) throw error;
      head = now.id;
    }
  }
}

/**
 * Lists what garbage collection may free, and what must stay. The order of the steps is what makes it safe beside saves,
 * restores and removals by others; docs/decisions/0008-garbage-collection-beside-writers.md has the proof:
 * removed mementos first, then pins, then heads, then everything that was not on the first list.
 *
 * `asIfRemoved` are taken for removed, to see what their removal would free.
 */
export async function listRoots(
  vault: Vault,
  readPins: () => Promise<Iterable<string>>,
  asIfRemoved: ReadonlySet<string> = new Set(),
): Promise<RootListing> {
  const removed = new Set(asIfRemoved);
  for await (const row of vault.store.query(mementoQuery({ removed: true, order: "ascending" }))) {
    if (row.removed) removed.add(row.entry.id);
  }
  const roots = new Set(await readPins());
  // A head that was given up, and cannot be read, is nothing that anybody could stand on.
  for (const id of (await standingMementos(vault, null)).keys())
    if (!removed.has(id) || asIfRemoved.has(id) || (await openWhole(vault, id)) !== null) roots.add(id);
  for await (const { entry } of vault.store.query(mementoQuery({ removed: true, order: "ascending" }))) {
    if (!removed.has(entry.id)) roots.add(entry.id);
  }
  return { roots, removed };
}
