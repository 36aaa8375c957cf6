import { parseMementoId } from "../../core/ids.ts";
import type { TimelineState } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import { LeaseKeeper } from "../lease-keeper.ts";
import { openWhole } from "../open-whole.ts";
import type { OpenedMemento } from "../opened-memento.ts";
import type { Vault } from "../vault.ts";
import type { RecordTable } from "../verify/record-table.ts";
import { isDamage } from "./damaged-pack.ts";
import type { RepairItem } from "./repair-plan.ts";

/** Timelines whose head is lost, or about to be given up, and that have a good memento before it. */
export async function lostHeads(
  vault: Vault,
  table: RecordTable,
  { helpless, restored }: { readonly helpless: ReadonlySet<string>; readonly restored: ReadonlySet<string> },
): Promise<readonly RepairItem[]> {
  const items: RepairItem[] = [];
  try {
    for await (const { record, head } of vault.store.timelines(null)) {
      if (head === null || restored.has(head.id)) continue;
      if (!helpless.has(head.id) && (await recordDigest(vault, head.id)) !== null) continue;
      const good = lastGood(table, record.key, head.sequence, helpless);
      if (good === null) continue;
      items.push({
        name: `line:${record.key}`,
        action: "go-on",
        problem: `The newest memento of the timeline, ${head.id}, is lost, so nothing can be saved behind it`,
        mementos: [head.id],
        from: null,
        refused: [],
        nearestGood: { [head.id]: good },
        needsConsent: false,
      });
    }
  } catch (error) {
    // Rows that do not read are another item's matter.
    if (!isDamage(error)) throw error;
  }
  return items;
}

/** The digest of a record, whatever becomes of what it needs; null when it cannot be opened any more. */
export async function recordDigest({ reader }: Vault, id: string): Promise<string | null> {
  try {
    return (await reader.open(id)).manifest.digest;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

function lastGood(table: RecordTable, key: string, before: number, helpless: ReadonlySet<string>): string | null {
  let best: { readonly id: string; readonly sequence: number } | null = null;
  for (const id of table.live()) {
    const place = parseMementoId(id);
    if (place?.timeline !== key || place.sequence >= before || helpless.has(id) || table.isReverting(id)) continue;
    if (best === null || place.sequence > best.sequence) best = { id, sequence: place.sequence };
  }
  return best?.id ?? null;
}

/**
 * Appends a memento with all that the nearest good one has. Its epoch fences whoever held the timeline, and its
 * generation is above any that the lost ones can have had, so that no token of theirs is used again; a pipeline is then
 * resumed from there, and reverts its sinks to that point. False when the head opens by now with all that it needs, or there
 * is nothing to go on from. LOCKED while somebody holds the timeline.
 */
export async function goOn(vault: Vault, key: string, evidence: Readonly<Record<string, unknown>>): Promise<boolean> {
  await using keeper = await LeaseKeeper.acquire(vault, key);
  const { state } = keeper;
  const { head } = state;
  // A head that opens, and needs something that does not, is as lost as one that is gone.
  if (head === null || (await openWhole(vault, head.id)) !== null) return false;
  const ground = await nearest(vault, state);
  if (ground === null) return false;
  const { entry } = ground;
  const lost = { ...entry, id: head.id, sequence: head.sequence };
  // Where the lost head still says its digest, what follows it has to name that.
  const digest = (await recordDigest(vault, head.id)) ?? ground.digest;
  const writer = vault.writerAt(state, { entry: lost, digest, directory: ground.directory });
  const { name: _, ...told } = entry;
  await writer.append({
    ...told,
    reason: "rollback",
    // A run that was completed may have been rolled back since: taken up again it gets its data back, or has nothing left to do.
    status: entry.status === "cancelled" || entry.status === "saved" ? entry.status : "interrupted",
    generation: entry.generation + head.sequence - entry.sequence + 1,
    fields: { evidence: { ...evidence, lost: head.id, from: entry.id } },
    ground,
  });
  return true;
}

/** The newest memento before the head that opens with all that it needs, and is not in the middle of a rollback. */
async function nearest(vault: Vault, { record, head }: TimelineState): Promise<OpenedMemento | null> {
  const rows = vault.store.query(mementoQuery({ timeline: record.key, order: "descending" }));
  for await (const { entry } of rows) {
    if (entry.sequence >= (head?.sequence ?? 0) || entry.status === "reverting") continue;
    const opened = await openWhole(vault, entry.id);
    if (opened !== null) return opened;
  }
  return null;
}
