import { MementoError, isMementoError } from "../../core/errors.ts";
import { isMadeRunId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineRecord, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import { LeaseKeeper, type LeaseOptions } from "../../vault/lease-keeper.ts";
import type { Vault } from "../../vault/vault.ts";
import { sameRunPlace } from "../run/run-place.ts";
import { PIECE, type RunRecord } from "../run/run-state.ts";
import { demandUnderWay, headOf } from "./under-way.ts";

/** Which run is meant, where a fork has the same one. */
export interface PauseOptions extends LeaseOptions {
  /** The key of the run's timeline; by default the one on which it was seen last. Needed where several pipelines or partitions have run under one key. */
  readonly timeline?: string;
}

/** What became of the wish to pause. */
export interface PauseResult {
  readonly run: string;
  readonly timeline: string;
  /** `requested`: the live worker will stop at its next memento. `paused`: nobody was running it, and now nobody will by itself. */
  readonly status: "requested" | "paused";
}

/** Pauses a run: a live one takes a memento between two batches and ends; one that stands interrupted is marked, so that only `resume` goes on with it. NOT_FOUND, NOTHING_TO_RESUME when it is done. */
export async function pauseRun(vault: Vault, run: string, options: PauseOptions = {}): Promise<PauseResult> {
  const timeline = options.timeline ?? (await timelineOfRun(vault, run));
  for (;;) {
    // Whoever holds the timeline may be at another run, which nobody wants to pause.
    demandUnderWay(run, await headOf(vault, timeline));
    const lease = await leaseUnlessLocked(vault, timeline, options);
    if (lease !== null) {
      await using _held = lease;
      await pauseHeld(vault, run, lease.state);
      return { run, timeline, status: "paused" };
    }
    await vault.store.requestOf(timeline, "pause");
    // A worker that has ended just before does not see it, and the next one would: then it is taken back with the lease.
    if ((await vault.timeline(timeline)).lease.owner !== null) return { run, timeline, status: "requested" };
    await (await leaseUnlessLocked(vault, timeline, options))?.release();
  }
}

async function leaseUnlessLocked(vault: Vault, timeline: string, options: LeaseOptions): Promise<LeaseKeeper | null> {
  try {
    return await LeaseKeeper.acquire(vault, timeline, options);
  } catch (error) {
    if (!isMementoError(error, "LOCKED")) throw error;
    return null;
  }
}

/** Marks a run that nobody is at. */
async function pauseHeld(vault: Vault, run: string, state: TimelineState): Promise<void> {
  const memento = demandUnderWay(run, state.head === null ? null : await vault.load(state.head.id));
  const { entry } = memento;
  if (entry.status === "paused") return;
  const writer = await vault.writer(state);
  await writer.append({
    reason: "pause",
    status: "paused",
    generation: entry.generation,
    ...sameRunPlace(entry),
  });
}

/**
 * The key of the timeline that a run is on; of forks and what they came from the one on which it was seen last. NOT_FOUND when
 * there is no such run, INVALID_ARGUMENT where several pipelines or partitions have run under one key.
 */
export async function timelineOfRun(vault: Vault, run: string): Promise<string> {
  const found = new Map<string, TimelineRecord>();
  for await (const { entry } of vault.store.query(mementoQuery({ run }))) {
    // Only a key can be that of several runs; the id of any other is on one timeline and its forks alone.
    if (found.size === 0 && !(await isKeyed(vault, entry))) return entry.timeline;
    if (!found.has(entry.timeline)) found.set(entry.timeline, (await vault.timeline(entry.timeline)).record);
  }
  const [newest] = found.keys();
  if (newest === undefined) throw new MementoError("NOT_FOUND", `There is no run ${run}`);
  const places = new Set([...found.values()].map((record) => describeAddress({ ...record, fork: "" })));
  if (places.size === 1) return newest;
  const timelines = [...found].map(([key, record]) => `${describeAddress(record)} (${key})`);
  throw new MementoError("INVALID_ARGUMENT", `There are runs ${run} on ${timelines.join(", ")}`, {
    hint: "Say by `timeline` which of them is meant.",
    details: { timelines: [...found.keys()] },
  });
}

/** True for a run that somebody has given a key, which is its id. What looks like an id that was made may be a key all the same. */
async function isKeyed(vault: Vault, { id, run = "" }: MementoEntry): Promise<boolean> {
  if (!isMadeRunId(run)) return true;
  const record = (await (await vault.load(id)).value(PIECE.run)) as RunRecord | undefined;
  return record?.key !== null;
}
