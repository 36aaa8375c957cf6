import { demandUnpinned, removeBesidePins } from "../../caretaker/pins.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { Vault } from "../../vault/vault.ts";

const AT_ONCE = 500;

/** The mementos before one on its timeline that are still live, oldest first. */
export async function historyBefore(
  vault: Vault,
  { timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">,
): Promise<string[]> {
  const ids: string[] = [];
  for await (const { entry } of vault.store.query(mementoQuery({ timeline, order: "ascending" }))) {
    if (entry.sequence >= sequence) break;
    ids.push(entry.id);
  }
  return ids;
}

/** The mementos before one on its timeline that are removed. */
export async function removedBefore(
  vault: Vault,
  { timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">,
): Promise<string[]> {
  const ids: string[] = [];
  for await (const { entry, removed } of vault.store.query(mementoQuery({ timeline, removed: true })))
    if (removed && entry.sequence < sequence) ids.push(entry.id);
  return ids;
}

/** Throws CONFLICT when a memento of the timeline is pinned: a history that somebody needs is not purged. */
export async function demandPurgeable(vault: Vault, head: MementoEntry): Promise<void> {
  await demandUnpinned(vault, head.caretaker, [...(await historyBefore(vault, head)), head.id]);
}

/** Removes every memento before the new head of a reset, except for those that were pinned meanwhile. Repeating it changes nothing. */
export async function purgeHistory(vault: Vault, reset: MementoEntry): Promise<number> {
  const { caretaker, timeline } = reset;
  const history = await historyBefore(vault, reset);
  let purged = 0;
  for (let start = 0; start < history.length; start += AT_ONCE) {
    let ids: readonly string[] = [];
    await removeBesidePins(vault, caretaker, (pins) => {
      const pinned = new Set(pins.map(({ id }) => id));
      ids = history.slice(start, start + AT_ONCE).filter((id) => !pinned.has(id));
      if (ids.length === 0) return null;
      return { ids, notice: vault.notice("removed", { caretaker, timeline, mementos: ids }) };
    });
    purged += ids.length;
  }
  return purged;
}
