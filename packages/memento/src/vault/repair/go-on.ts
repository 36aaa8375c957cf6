import { parseMementoId } from "../../core/ids.ts";
import type { TimelineHead, TimelineState } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import { PieceDirectory } from "../directory.ts";
import { LeaseKeeper } from "../lease-keeper.ts";
import { openWhole } from "../open-whole.ts";
import type { OpenedMemento } from "../opened-memento.ts";
import type { MementoDraft } from "../timeline-writer.ts";
import type { Vault } from "../vault.ts";
import type { RecordTable } from "../verify/record-table.ts";
import { isDamage } from "./damaged-pack.ts";
import type { RepairItem } from "./repair-plan.ts";

/** Timelines whose head is lost, or about to be given up. */
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
      const from = good === null ? "nothing, for no good one is left" : good;
      items.push({
        name: `line:${record.key}`,
        action: "go-on",
        problem: `The newest memento of the timeline, ${head.id}, is lost, so nothing can be saved behind it; it goes on from ${from}`,
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
 * Appends a memento with all that the nearest good one has, or with nothing where the plan said that none is left. Its epoch
 * fences whoever held the timeline, and its generation is above any that the lost ones can have had, so that no token of theirs
 * is used again; a pipeline is then resumed from there, and reverts its sinks to that point. False when the head opens by now
 * with all that it needs, or there is nothing to go on from. LOCKED while somebody holds the timeline.
 */
export async function goOn(
  vault: Vault,
  item: RepairItem,
  evidence: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  await using keeper = await LeaseKeeper.acquire(vault, item.name.slice("line:".length));
  const { state } = keeper;
  const { head } = state;
  // A head that opens, and needs something that does not, is as lost as one that is gone.
  if (head === null || (await openWhole(vault, head.id)) !== null) return false;
  const ground = await nearest(vault, state);
  if (ground === null && (item.nearestGood[head.id] !== null || !(await isGivenUp(vault, head.id)))) return false;
  // Where the lost head still says its digest, what follows it has to name that.
  const digest = (await recordDigest(vault, head.id)) ?? ground?.digest ?? null;
  const directory = ground?.directory ?? PieceDirectory.empty;
  const writer = vault.writerAt(state, { entry: head, digest, directory });
  const fields = { evidence: { ...evidence, lost: head.id, from: ground?.entry.id ?? null } };
  const { entry } = await writer.append({ ...(ground === null ? anew(state, head) : behind(ground, head)), fields });
  // Whoever saves next builds on it; but it is no state that anybody has saved.
  if (ground === null && entry.kind !== "pipeline")
    await vault.store.remove(
      [entry.id],
      vault.notice("removed", { caretaker: entry.caretaker, timeline: entry.timeline, mementos: [entry.id] }),
    );
  return true;
}

/** What goes on from a good memento, in front of a head that is lost. */
function behind(ground: OpenedMemento, head: TimelineHead): MementoDraft {
  const { name: _, ...told } = ground.entry;
  const { status, generation, sequence } = told;
  return {
    ...told,
    reason: "rollback",
    // A run that was completed may have been rolled back since: taken up again it gets its data back, or has nothing left to do.
    status: status === "cancelled" || status === "saved" ? status : "interrupted",
    generation: generation + head.sequence - sequence + 1,
    ground,
  };
}

/** The piece by which a pipeline's next run knows that data may be there of which no memento is left. */
const LOST_PIECE = "lost";

/** A beginning like that after a reset. No generation is above the leases that were taken and the mementos that there were. */
function anew({ record, lease }: TimelineState, head: TimelineHead): MementoDraft {
  const pieces = new Map(record.kind === "pipeline" ? [[LOST_PIECE, head.id]] : []);
  return { reason: "reset", status: "saved", generation: lease.epoch + head.sequence, pieces };
}

/** True for a head of which nobody hopes to get anything back. */
async function isGivenUp({ store }: Vault, id: string): Promise<boolean> {
  try {
    return (await store.read(id))?.removed !== false;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
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
