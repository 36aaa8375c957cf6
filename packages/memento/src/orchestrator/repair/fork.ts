import { demandLive, pinForRestore } from "../../caretaker/pins.ts";
import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineAddress } from "../../core/timeline.ts";
import { checkForkName } from "../../vault/chunk-parts.ts";
import { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { Vault } from "../../vault/vault.ts";
import { parseParams } from "../pipeline/params.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { runPlace } from "../run/run-place.ts";
import { PIECE, readSnapshot } from "../run/run-state.ts";

/** How to fork. */
export interface ForkOptions {
  /** The fork's name: unique among the forks of its timeline. */
  readonly name: string;
  /** Other parameters for the fork, for example another table to write to. Needs the pipeline. */
  readonly params?: unknown;
  readonly pipeline?: Pipeline;
}

/** A new timeline. */
export interface ForkResult {
  readonly timeline: string;
  readonly entry: MementoEntry;
}

/**
 * Starts a timeline of its own from any memento: same offsets, state and outputs, and no data in the sinks yet, for rows
 * belong to the timeline that wrote them. Its runs write into the same places as those of the timeline it came from, unless
 * its parameters or the pipeline name others. EXISTS when the name is taken, NOT_FOUND when there is no such memento.
 */
export async function forkPipeline(vault: Vault, memento: string, options: ForkOptions): Promise<ForkResult> {
  const looked = demandLive(await vault.load(memento));
  const origin = await vault.timeline(looked.entry.timeline);
  if (origin.record.kind !== "pipeline")
    throw new MementoError("INVALID_ARGUMENT", `Memento ${memento} is not of a pipeline, and only pipelines fork`);
  const { caretaker, originator, partition } = origin.record;
  const address = { caretaker, originator, partition, fork: checkForkName(options.name) };
  const existing = await vault.findTimeline(address);
  // An empty one was left by a fork from the same memento that a crash or a removal cut short.
  if (existing !== null && (existing.head !== null || existing.record.forkedFrom !== memento))
    throw forkExists(address);
  const params = await forkParams(options, (await readSnapshot(looked)).run?.params);
  const { record } = await vault.ensureTimeline(address, "pipeline", memento);
  await using lease = await LeaseKeeper.acquire(vault, record.key);
  if (lease.state.head !== null) throw forkExists(address);
  await using _pin = await pinForRestore(vault, memento, lease.state);
  const ground = demandLive(await vault.load(memento));
  const snapshot = await readSnapshot(ground);
  const writer = await vault.writer(lease.state);
  const { status } = ground.entry;
  const { entry } = await writer.append({
    reason: "fork",
    status: status === "completed" || status === "cancelled" || status === "saved" ? status : "interrupted",
    generation: 0,
    ground,
    ...runPlace(ground.entry),
    pieces: snapshot.run === null ? new Map<string, unknown>() : new Map([[PIECE.run, { ...snapshot.run, params }]]),
    drop: ground.keys().filter(staysBehindFork),
  });
  return { timeline: record.key, entry };
}

function forkExists(address: TimelineAddress): MementoError {
  return new MementoError("EXISTS", `There is a fork ${describeAddress(address)} already`, {
    hint: "Choose another name, or run on the fork that is there.",
  });
}

/** True for a piece that a fork does not take over: rows belong to the timeline that wrote them, and so does a rollback under way. */
export function staysBehindFork(key: string): boolean {
  return key.startsWith(PIECE.sink) || key.startsWith(PIECE.participant) || key === PIECE.restore;
}

async function forkParams(options: ForkOptions, before: unknown): Promise<unknown> {
  if (options.params === undefined) return before;
  if (options.pipeline === undefined) return options.params;
  const merged = { ...(before as Record<string, unknown> | undefined), ...(options.params as Record<string, unknown>) };
  return await parseParams(options.pipeline, merged);
}
