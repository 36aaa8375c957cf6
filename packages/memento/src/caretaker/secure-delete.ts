import { isMementoError, MementoError } from "../core/errors.ts";
import type { JsonObject } from "../core/json.ts";
import type { MementoEntry } from "../core/memento.ts";
import { describeAddress } from "../core/timeline.ts";
import { decodePackHeader } from "../store/header.ts";
import { keysBehind } from "../vault/gc/keys-behind.ts";
import { PieceMasks } from "../vault/gc/piece-masks.ts";
import { RecordGraph } from "../vault/gc/record-graph.ts";
import { resealPack } from "../vault/gc/reseal.ts";
import { listRoots, standingMementos } from "../vault/gc/root-listing.ts";
import { planSweep } from "../vault/gc/sweep.ts";
import type { LeaseKeeper, LeaseOptions } from "../vault/lease-keeper.ts";
import { beginMaintenance } from "../vault/maintenance.ts";
import type { Vault } from "../vault/vault.ts";
import { demandUnpinned, readPins, removeUnpinned } from "./pins.ts";

/** How to delete securely. */
export interface SecureDeleteOptions extends LeaseOptions {
  /** Why; kept as evidence, in the clear. */
  readonly reason: string;
  /** Who asks; kept as evidence, in the clear. */
  readonly by?: string;
  /** Stops between two packs; the same call later finishes it. */
  readonly signal?: AbortSignal;
}

/** What a secure deletion did. */
export interface SecureDeleteReport {
  readonly mementos: readonly string[];
  /** Data keys that were destroyed; among them those of an earlier deletion that was cut short. */
  readonly dataKeys: readonly string[];
  /** Packs that were sealed anew, for what others need of them. */
  readonly resealed: number;
  /** Packs that were dropped. */
  readonly dropped: number;
}

interface Doomed {
  readonly entry: MementoEntry;
  readonly dataKey: string | null;
  readonly removed: boolean;
}

const ROUNDS_MAX = 5;
const DROP_ATTEMPTS_MAX = 50;
const DROP_PAUSE_MS = 100;

/**
 * Deletes mementos so that nobody can open them again, with the ring's keys and every byte of the store: all packs under
 * the data keys that sealed them, and what only they still needed, are sealed anew under a fresh one, without what nobody else needs, then those keys are
 * destroyed. What other mementos share with them stays, for it is theirs as well; of a piece that only deltas build on, only the bytes stay
 * that end up in what is kept. Evidence (who, why, when, which ids and keys; no content) is logged.
 *
 * Killed at any point, nothing that is kept is lost, and the same call finishes it; saves go on meanwhile, in other
 * processes too. NOT_FOUND, CONFLICT for pinned mementos, a pipeline's head and what an unfinished rollback needs, LOCKED when other
 * maintenance is at work, CAPABILITY_MISSING for a store that is not sealed.
 */
export async function secureDelete(
  vault: Vault,
  ids: readonly string[],
  options: SecureDeleteOptions,
): Promise<SecureDeleteReport> {
  if (!vault.meta.sealed) {
    const hint =
      "Remove the mementos and collect garbage; their bytes may stay on the disk until they are written over.";
    throw new MementoError("CAPABILITY_MISSING", "A store that is not sealed has no keys to destroy", { hint });
  }
  await using maintenance = await beginMaintenance(vault, options);
  const doomed = await demandDoomed(vault, ids);
  const known = await vault.store.keys();
  const pins = async (): Promise<string[]> => (await readPins(vault)).map(({ id }) => id);
  const wanted = new Set([
    ...doomed.map(({ dataKey }) => dataKey),
    ...(await keysBehind(
      vault,
      doomed.map(({ entry }) => entry.id),
      pins,
      options.signal,
    )),
  ]);
  const keys = known.filter(({ id, retired }) => wanted.has(id) || retired === true).map(({ id }) => id);
  await removeDoomed(vault, doomed, evidence("begun", keys, options));
  for (const key of keys) {
    // This vault's own saves may be the ones that use it.
    vault.dataKeys?.retire(key);
    await vault.store.retireKey(key);
  }
  const sealed = await resealAll(vault, new Set(keys), doomed, maintenance, options);
  maintenance.demand();
  for (const key of keys) await dropKey(vault, key);
  await logEvidence(vault, doomed, evidence("done", keys, options));
  return { mementos: doomed.map(({ entry }) => entry.id), dataKeys: keys, ...sealed };
}

/** Looks the mementos up, live or removed, and refuses those that something still stands on. */
async function demandDoomed(vault: Vault, ids: readonly string[]): Promise<Doomed[]> {
  const doomed: Doomed[] = [];
  for (const id of new Set(ids)) {
    const stored = await vault.store.read(id);
    const header = stored && decodePackHeader(stored.header, `memento ${id}`);
    const entry = header?.entries[stored?.slot ?? -1];
    if (stored === null || header === null || entry === undefined)
      throw new MementoError("NOT_FOUND", `There is no memento ${id}`, { details: { id } });
    doomed.push({ entry, dataKey: header.dataKey, removed: stored.removed });
  }
  for (const [caretaker, its] of Map.groupBy(doomed, ({ entry }) => entry.caretaker)) {
    await demandUnpinned(
      vault,
      caretaker,
      its.map(({ entry }) => entry.id),
    );
    const standing = await standingMementos(vault, caretaker);
    for (const { entry } of its) {
      const why = standing.get(entry.id);
      if (why === undefined || (why === "head" && entry.kind !== "pipeline")) continue;
      const { record } = await vault.timeline(entry.timeline);
      throw new MementoError("CONFLICT", `Memento ${entry.id} of ${describeAddress(record)} is still needed: ${why}`, {
        hint: "Run the pipeline on, or roll it back to another memento, first.",
        details: { id: entry.id },
      });
    }
  }
  return doomed;
}

/** Removes what is live. A head that is no pipeline's gets an empty one in front, for whoever saves next builds on the head. */
async function removeDoomed(vault: Vault, doomed: readonly Doomed[], details: JsonObject): Promise<void> {
  for (const [timeline, its] of Map.groupBy(doomed, ({ entry }) => entry.timeline)) {
    const mementos = its.map(({ entry }) => entry.id);
    const { head } = await vault.timeline(timeline);
    if (head !== null && mementos.includes(head.id)) mementos.push(...(await emptyHead(vault, timeline)));
    const caretaker = its[0]?.entry.caretaker ?? "";
    const notice = vault.notice("erased", { caretaker, timeline, mementos }, details);
    await removeUnpinned(vault, caretaker, { ids: mementos, notice });
  }
}

async function emptyHead(vault: Vault, timeline: string): Promise<string[]> {
  const writer = await vault.writer(await vault.timeline(timeline));
  try {
    const drop = writer.pieceKeys();
    const { entry } = await writer.append({ reason: "manual", status: "saved", generation: 0, drop, full: true });
    return [entry.id];
  } catch (error) {
    // Somebody else has just saved: the doomed one is the head no more.
    if (isMementoError(error, "CONFLICT")) return [];
    throw error;
  }
}

async function resealAll(
  vault: Vault,
  keys: ReadonlySet<string>,
  doomed: readonly Doomed[],
  maintenance: LeaseKeeper,
  { signal }: SecureDeleteOptions,
): Promise<Pick<SecureDeleteReport, "resealed" | "dropped">> {
  let [resealed, dropped] = [0, 0];
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const listing = await listRoots(vault, async () => (await readPins(vault)).map(({ id }) => id));
    const kept = doomed.find(({ entry }) => listing.roots.has(entry.id));
    if (kept !== undefined) {
      throw new MementoError("CONFLICT", `Memento ${kept.entry.id} is needed by a restore that began just now`, {
        hint: "Try again when it is finished.",
        details: { id: kept.entry.id },
      });
    }
    const { free, needed, packs } = await sweepOf(vault, listing, signal);
    const left = packs.filter(({ dataKey }) => dataKey !== null && keys.has(dataKey));
    if (left.length === 0) return { resealed, dropped };
    const masks = new PieceMasks(vault, needed);
    for (const pack of left) {
      signal?.throwIfAborted();
      maintenance.demand();
      if (free.has(pack.digest)) dropped += (await vault.store.reclaim(pack.ids.slice(0, 1))).packs;
      else if ((await resealPack(vault, pack, needed, { masks, fresh: true })) !== null) resealed += 1;
    }
  }
  throw new MementoError("LOCKED", "Others replace packs of this store all the time", {
    hint: "Try again; nothing that is kept was lost.",
  });
}

async function sweepOf(vault: Vault, listing: Awaited<ReturnType<typeof listRoots>>, signal: AbortSignal | undefined) {
  const graph = await RecordGraph.read(vault, signal);
  const { free, needed } = planSweep(graph, listing);
  return { free: new Set(free.map(({ digest }) => digest)), needed, packs: [...graph.packs.values()] };
}

/** An engine may have to wait for readers until it can write over what it held. */
async function dropKey(vault: Vault, key: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await vault.store.dropKey(key);
      return;
    } catch (error) {
      if (!isMementoError(error, "LOCKED") || attempt >= DROP_ATTEMPTS_MAX) throw error;
      await vault.clock.sleep(DROP_PAUSE_MS);
    }
  }
}

function evidence(
  step: "begun" | "done",
  keys: readonly string[],
  { by = "", reason }: SecureDeleteOptions,
): JsonObject {
  return { step, by, reason, dataKeys: [...keys] };
}

async function logEvidence(vault: Vault, doomed: readonly Doomed[], details: JsonObject): Promise<void> {
  for (const [caretaker, its] of Map.groupBy(doomed, ({ entry }) => entry.caretaker)) {
    const mementos = its.map(({ entry }) => entry.id);
    await vault.store.note(vault.notice("erased", { caretaker, timeline: null, mementos }, details));
  }
}
