import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { LeaseKeeper, type LeaseOptions } from "../../vault/lease-keeper.ts";
import { systemProcessProbe } from "../../vault/process-identity.ts";
import type { Vault } from "../../vault/vault.ts";
import { sameRunPlace } from "../run/run-place.ts";
import { timelineOfRun } from "./pause.ts";
import { demandUnderWay, headOf } from "./under-way.ts";

/** Which run is to be cancelled, by whom and why. */
export interface CancelOptions extends LeaseOptions {
  /** The key of the run's timeline; by default the one on which it was seen last. Needed where several pipelines or partitions have run under one key. */
  readonly timeline?: string;
  readonly by?: string;
  readonly why?: string;
}

/** A run that was cancelled. */
export interface CancelResult {
  readonly run: string;
  readonly timeline: string;
  /** The memento that says so: the state of the last one before it. */
  readonly head: string;
  /** True: a worker was at it. It has lost the timeline, ends by itself, and nothing that it still writes counts. */
  readonly wasLive: boolean;
}

/**
 * Cancels a run for good: its timeline is taken from whoever works on it, and its last memento stands as the end. What sinks hold
 * past that memento is taken back by the worker itself, and at the latest by the next run, which starts at its offsets and state.
 * NOT_FOUND, NOTHING_TO_RESUME when the run is not under way.
 */
export async function cancelRun(vault: Vault, run: string, options: CancelOptions = {}): Promise<CancelResult> {
  const timeline = options.timeline ?? (await timelineOfRun(vault, run));
  demandUnderWay(run, await headOf(vault, timeline));
  const { lease, wasLive } = await seize(vault, timeline, options);
  await using held = lease;
  const { head: at } = held.state;
  const head = demandUnderWay(run, at === null ? null : await vault.load(at.id));
  const cancel = {
    by: options.by ?? "",
    why: options.why ?? "",
    at: new Date(vault.clock.now()).toISOString(),
    statusBefore: head.entry.status,
  };
  const { entry } = await (
    await vault.writer(held.state)
  ).append({
    reason: "cancel",
    status: "cancelled",
    generation: head.entry.generation,
    ...sameRunPlace(head.entry),
    fields: { cancel },
  });
  return { run, timeline, head: entry.id, wasLive };
}

const LOOK_MS = 50;
const LOOKS_MAX = 600;

/**
 * For a worker that has lost its timeline: the memento by which somebody cancelled its run; null when it was taken over for
 * another reason. Waits for it only where the one who took it has left the sign that he is to end the run.
 */
export async function cancelledBy(vault: Vault, timeline: string, run: string): Promise<MementoEntry | null> {
  for (let look = 0; look < LOOKS_MAX; look++) {
    const state = await vault.timeline(timeline);
    const entry = state.head === null ? null : (await vault.load(state.head.id)).entry;
    if (entry?.status === "cancelled" && entry.run === run) return entry;
    if (state.request === null || state.lease.owner === null) return null;
    await vault.clock.sleep(LOOK_MS);
  }
  return null;
}

/** Takes the lease, also from a worker that is alive: a higher epoch shuts it out of store and sinks. */
async function seize(
  vault: Vault,
  timeline: string,
  options: CancelOptions,
): Promise<{ readonly lease: LeaseKeeper; readonly wasLive: boolean }> {
  try {
    return { lease: await LeaseKeeper.acquire(vault, timeline, options), wasLive: false };
  } catch (error) {
    if (!isMementoError(error, "LOCKED")) throw error;
  }
  // The sign by which the worker tells that its run is ended from a takeover.
  await vault.store.requestOf(timeline, "pause");
  const { probe: machine = systemProcessProbe } = options;
  const probe = { self: () => machine.self(), isKnownDead: () => true };
  return { lease: await LeaseKeeper.acquire(vault, timeline, { ...options, probe }), wasLive: true };
}
