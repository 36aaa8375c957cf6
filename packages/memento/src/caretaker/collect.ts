import { isMementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import { isPart, mementoQuery } from "../store/query.ts";
import { removeOrphanParts } from "../vault/chunk-parts.ts";
import { RecordGraph, type PackFacts } from "../vault/gc/record-graph.ts";
import { resealPack } from "../vault/gc/reseal.ts";
import { listRoots, standingMementos } from "../vault/gc/root-listing.ts";
import { planSweep, type SweepPlan } from "../vault/gc/sweep.ts";
import type { LeaseKeeper, LeaseOptions } from "../vault/lease-keeper.ts";
import { beginMaintenance } from "../vault/maintenance.ts";
import type { Vault } from "../vault/vault.ts";
import { readAllSettings } from "./caretaker-record.ts";
import { isInTime, readPins, releaseDeadPins, removeBesidePins, type CaretakerPin } from "./pins.ts";
import { selectForRemoval, type RetentionEntry } from "./retention.ts";

/** How to collect garbage. */
export interface CollectOptions extends LeaseOptions {
  /** Removes mementos of this caretaker only. Space is freed in the whole store all the same: records are shared. Default: of all. */
  readonly caretaker?: string;
  /** True: nothing is changed, and the report says what would be. Default false. */
  readonly dryRun?: boolean;
  /** True: freed space is given back to the file system, where the engine keeps it for itself; others wait meanwhile. Default false. */
  readonly compact?: boolean;
  /** Stops between two steps; what was done stays done. */
  readonly signal?: AbortSignal;
}

/** A memento that a policy removes. */
export interface RemovedMemento {
  readonly entry: MementoEntry;
  /** The rule by which it goes. */
  readonly why: string;
}

/** What stays of one caretaker. */
export interface KeptMementos {
  readonly caretaker: string;
  readonly mementos: number;
  /** How many stay for each reason; one memento may have several. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** What collecting garbage did, or would do. */
export interface CollectReport {
  readonly dryRun: boolean;
  /** What policies removed. Removed by hand before are not among them. */
  readonly removed: readonly RemovedMemento[];
  readonly kept: readonly KeptMementos[];
  readonly pins: readonly CaretakerPin[];
  /** Removed mementos whose records stay in part, because younger ones or forks share them. */
  readonly neededRemoved: number;
  /** Packs that were dropped, and the bytes of their bodies. */
  readonly packs: number;
  readonly bytes: number;
  /** Packs that were sealed anew without what nobody needs of them, because that was most of them, and the bytes that were saved. */
  readonly repacked: { readonly packs: number; readonly bytes: number };
  /** Bytes that were given back to the file system; null when that was not asked for. */
  readonly compactedBytes: number | null;
}

const AT_ONCE = 500;

/**
 * Removes what the caretakers' policies no longer keep, and frees the space of everything removed that nobody needs. Safe
 * beside saves, restores and forks in any process. Killed at any point it leaves a sound store, and the next one goes on.
 * LOCKED when another one is at work; DAMAGED, and nothing freed, when something that is needed cannot be read.
 */
export async function collectGarbage(vault: Vault, options: CollectOptions = {}): Promise<CollectReport> {
  if (options.dryRun === true) return await previewCollection(vault, options);
  await using maintenance = await beginMaintenance(vault, options);
  await removeOrphanParts(vault, options.caretaker ?? null, options);
  const choice = await chooseByPolicy(vault, options);
  const removed = await removeAll(vault, choice.removed, maintenance, options);
  let seen: readonly CaretakerPin[] = [];
  const plan = await planOf(vault, new Set(), options.signal, (pins) => (seen = pins));
  const freed = await free(vault, plan, maintenance, options);
  // Only now: as long as their pins were there, what dead restores were at has been spared in this round.
  const dead = new Set(await releaseDeadPins(vault, seen, options));
  const pins = seen.filter((pin) => !dead.has(pin));
  const compactedBytes = options.compact === true ? await vault.store.compact() : null;
  return { dryRun: false, ...choice, removed, pins, neededRemoved: plan.neededRemoved, ...freed, compactedBytes };
}

async function previewCollection(vault: Vault, options: CollectOptions): Promise<CollectReport> {
  const choice = await chooseByPolicy(vault, options);
  const asIfRemoved = new Set(choice.removed.map(({ entry }) => entry.id));
  let pins: readonly CaretakerPin[] = [];
  const plan = await planOf(vault, asIfRemoved, options.signal, (seen) => (pins = seen));
  const bytes = plan.free.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
  const repacked = { packs: plan.wasteful.length, bytes: 0 };
  return {
    dryRun: true,
    ...choice,
    pins,
    neededRemoved: plan.neededRemoved,
    packs: plan.free.length,
    bytes,
    repacked,
    compactedBytes: null,
  };
}

async function planOf(
  vault: Vault,
  asIfRemoved: ReadonlySet<string>,
  signal: AbortSignal | undefined,
  onPins: (pins: readonly CaretakerPin[]) => void,
): Promise<SweepPlan> {
  const pinned = async (): Promise<string[]> => {
    const pins = await readPins(vault);
    onPins(pins);
    return pins.map(({ id }) => id);
  };
  const listing = await listRoots(vault, pinned, asIfRemoved);
  return planSweep(await RecordGraph.read(vault, signal), listing);
}

interface PolicyChoice {
  readonly removed: readonly RemovedMemento[];
  readonly kept: readonly KeptMementos[];
}

async function chooseByPolicy(vault: Vault, { caretaker: only }: CollectOptions): Promise<PolicyChoice> {
  const removed: RemovedMemento[] = [];
  const kept: KeptMementos[] = [];
  const settings = await readAllSettings(vault);
  for (const [caretaker, entries] of await liveByCaretaker(vault, only ?? null)) {
    const guarded = new Map(await standingMementos(vault, caretaker));
    const { policy = {}, pins = [] } = settings.get(caretaker) ?? {};
    for (const pin of pins) {
      if (!isInTime(pin, vault.clock.now())) continue;
      guarded.set(pin.id, pin.lease === null ? `pinned${pin.reason === "" ? "" : `: ${pin.reason}`}` : pin.reason);
    }
    const choice = selectForRemoval(entries.map(retentionEntry), policy, vault.clock.now(), guarded);
    for (const entry of entries) {
      const why = choice.remove.get(entry.id);
      if (why !== undefined) removed.push({ entry, why });
    }
    const reasons: Record<string, number> = {};
    for (const why of choice.keep.values()) for (const reason of why) reasons[reason] = (reasons[reason] ?? 0) + 1;
    kept.push({ caretaker, mementos: choice.keep.size, reasons });
  }
  return { removed, kept };
}

/** Live mementos in the order of the log. Parts of streams on their way in are nobody's to judge. */
async function liveByCaretaker(vault: Vault, caretaker: string | null): Promise<Map<string, MementoEntry[]>> {
  const live = new Map<string, MementoEntry[]>();
  for await (const { entry } of vault.store.query(mementoQuery({ caretaker, order: "ascending" }))) {
    if (isPart(entry)) continue;
    const its = live.get(entry.caretaker);
    if (its === undefined) live.set(entry.caretaker, [entry]);
    else its.push(entry);
  }
  return live;
}

function retentionEntry(entry: MementoEntry, position: number): RetentionEntry {
  const { id, timeline, sequence, created, labels, sizes } = entry;
  return { id, timeline, sequence, position, created, labels, heldBytes: sizes.heldBytes };
}

/** Removes what was chosen, except for what was pinned since; gives what is removed. */
async function removeAll(
  vault: Vault,
  chosen: readonly RemovedMemento[],
  maintenance: LeaseKeeper,
  { signal }: CollectOptions,
): Promise<readonly RemovedMemento[]> {
  const removed: RemovedMemento[] = [];
  // One notice names one timeline.
  for (const [timeline, its] of Map.groupBy(chosen, ({ entry }) => entry.timeline)) {
    const caretaker = its[0]?.entry.caretaker ?? "";
    for (let start = 0; start < its.length; start += AT_ONCE) {
      signal?.throwIfAborted();
      maintenance.demand();
      let some: readonly RemovedMemento[] = [];
      await removeBesidePins(vault, caretaker, (pins) => {
        const pinned = new Set(pins.map(({ id }) => id));
        some = its.slice(start, start + AT_ONCE).filter(({ entry }) => !pinned.has(entry.id));
        if (some.length === 0) return null;
        const ids = some.map(({ entry }) => entry.id);
        const reasons: Record<string, number> = {};
        for (const { why } of some) reasons[why] = (reasons[why] ?? 0) + 1;
        return { ids, notice: vault.notice("cleaned", { caretaker, timeline, mementos: ids }, { reasons }) };
      });
      removed.push(...some);
    }
  }
  return removed;
}

async function free(
  vault: Vault,
  plan: SweepPlan,
  maintenance: LeaseKeeper,
  { signal }: CollectOptions,
): Promise<Pick<CollectReport, "packs" | "bytes" | "repacked">> {
  let [packs, bytes] = [0, 0];
  for (let start = 0; start < plan.free.length; start += AT_ONCE) {
    signal?.throwIfAborted();
    maintenance.demand();
    const ids = plan.free.slice(start, start + AT_ONCE).flatMap((pack) => pack.ids.slice(0, 1));
    const freed = await vault.store.reclaim(ids);
    packs += freed.packs;
    bytes += freed.bytes;
  }
  const repacked = { packs: 0, bytes: 0 };
  for (const pack of plan.wasteful) {
    signal?.throwIfAborted();
    maintenance.demand();
    const saved = await repackOne(vault, pack, plan);
    if (saved === null) continue;
    repacked.packs += 1;
    repacked.bytes += saved;
  }
  return { packs, bytes, repacked };
}

async function repackOne(vault: Vault, pack: PackFacts, { needed }: SweepPlan): Promise<number | null> {
  try {
    return await resealPack(vault, pack, needed, { masks: null, fresh: false });
  } catch (error) {
    // A secure deletion stands unfinished; it will seal this pack anew, and leave out the same.
    if (isMementoError(error, "KEY_RETIRED")) return null;
    throw error;
  }
}
