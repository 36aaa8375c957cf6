import { demandLive, pinForRestore } from "../caretaker/pins.ts";
import { MementoError } from "../core/errors.ts";
import { describeAddress, type TimelineState } from "../core/timeline.ts";
import { LeaseKeeper, type LeaseOptions } from "../vault/lease-keeper.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { Vault } from "../vault/vault.ts";
import type { Pipeline } from "./pipeline.ts";
import { demandPlan, planRollback, type RollbackPlan } from "./plan.ts";
import { openResources } from "./resources.ts";
import { beginRestore, finishRestore } from "./restore.ts";
import type { RunListener } from "./run-event.ts";
import { readSnapshot } from "./run-state.ts";
import { pipelineAddress, type RunOptions } from "./runner.ts";
import { resolveTarget } from "./target.ts";

/** Which timeline of a pipeline is meant, and how. */
export type RollbackPlace = Pick<RunOptions, "caretaker" | "partition" | "fork" | "signal">;

/** How to apply a plan. */
export interface RollbackOptions extends RollbackPlace, LeaseOptions {
  /** The hash of the plan that was looked at. */
  readonly plan: string;
  /** Sinks and sources by name that may go on though they cannot be reverted, or whose foreign changes are taken too. */
  readonly force?: readonly string[];
  /** Who asks, and why; kept as evidence. */
  readonly by?: string;
  readonly why?: string;
  readonly onEvent?: RunListener;
}

/** What a rollback did. */
export interface RollbackResult {
  /** The new head: the target's state, appended. */
  readonly head: string;
  /** The memento just before: rolling back to it undoes the rollback. */
  readonly undo: string;
  readonly plan: RollbackPlan;
  readonly evidence: unknown;
}

/** Says what going back to a memento would do; changes nothing, and needs no lease. NOT_FOUND, CREDENTIAL_UNAVAILABLE, and what sources and sinks raise. */
export async function planPipelineRollback(
  vault: Vault,
  pipeline: Pipeline,
  target: string,
  place: RollbackPlace = {},
): Promise<RollbackPlan> {
  const state = await timelineOf(vault, pipeline, place);
  const head = await headOf(vault, state);
  return await planFrom(vault, pipeline, state, head, target, place.signal);
}

/**
 * Takes the timeline and everything that it wrote back to a memento, by a plan that was looked at: offsets, state, stage
 * outputs and sinks together. The target's state becomes a new head, so nothing is lost and the rollback can itself be
 * rolled back. A crash anywhere leaves the state of before, or a restore that the next command on the timeline finishes.
 * PLAN_MOVED, NOT_REVERTIBLE, LOCKED, FENCED.
 */
export async function rollbackPipeline(
  vault: Vault,
  pipeline: Pipeline,
  target: string,
  options: RollbackOptions,
): Promise<RollbackResult> {
  const { force = [], by = "", why = "", onEvent: listener = () => undefined } = options;
  const { record } = await timelineOf(vault, pipeline, options);
  await using lease = await LeaseKeeper.acquire(vault, record.key, options);
  const ports = { vault, pipeline, lease, listener };
  const unfinished = await headOf(vault, lease.state);
  const head = (await finishRestore(ports, unfinished)) ?? unfinished;
  const state = await vault.timeline(record.key);
  const targetId = await resolveTarget(vault, state, target);
  await using _pin = await pinForRestore(vault, targetId, lease.state);
  const wanted = demandLive(await vault.load(targetId));
  const { run } = await readSnapshot(head);
  await using resources = await openResources({
    pipeline,
    params: run?.params ?? {},
    timeline: record.key,
    clock: vault.clock,
    signal: lease.signal,
  });
  const plan = await planRollback({ pipeline, resources, state, head, target: wanted });
  demandPlan(plan, options.plan);
  demandRevertible(plan, force);
  const begun = await beginRestore({ ...ports, lease }, head, { plan, forced: force, by, why });
  const restored = await finishRestore(ports, begun, resources);
  if (restored === null) throw new MementoError("DAMAGED", `The restore of ${describeAddress(record)} has no head`);
  return { head: restored.entry.id, undo: begun.entry.id, plan, evidence: restored.fields()["evidence"] };
}

async function planFrom(
  vault: Vault,
  pipeline: Pipeline,
  state: TimelineState,
  head: OpenedMemento,
  target: string,
  signal: AbortSignal | undefined,
): Promise<RollbackPlan> {
  if (head.entry.status === "reverting") {
    throw new MementoError("CONFLICT", `A rollback of ${describeAddress(state.record)} stands unfinished`, {
      hint: "Run or resume the pipeline, or roll back again: each finishes it first.",
    });
  }
  const wanted = demandLive(await vault.load(await resolveTarget(vault, state, target)));
  const { run } = await readSnapshot(head);
  const never = new AbortController().signal;
  await using resources = await openResources({
    pipeline,
    params: run?.params ?? {},
    timeline: state.record.key,
    clock: vault.clock,
    signal: signal ?? never,
  });
  return await planRollback({ pipeline, resources, state, head, target: wanted });
}

function demandRevertible(plan: RollbackPlan, force: readonly string[]): void {
  const known = new Set([...plan.sinks, ...plan.sources].map(({ name }) => name));
  const strange = force.filter((name) => !known.has(name));
  if (strange.length > 0)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The plan has no item ${strange.join(", ")}; it has ${[...known].join(", ")}`,
    );
  const refused = plan.refused.filter((name) => !force.includes(name));
  if (refused.length === 0) return;
  const reasons = refused.map((name) => {
    const problem = plan.sources.find((source) => source.name === name && !source.available)?.problem;
    return `${name} (${problem ?? plan.sinks.find((sink) => sink.name === name && sink.verdict !== "revert")?.verdict ?? "refused"})`;
  });
  throw new MementoError("NOT_REVERTIBLE", `These items cannot be reverted: ${reasons.join(", ")}`, {
    details: { items: refused },
  });
}

async function timelineOf(vault: Vault, pipeline: Pipeline, place: RollbackPlace): Promise<TimelineState> {
  const address = pipelineAddress(pipeline, place);
  const state = await vault.findTimeline(address);
  if (state === null) throw new MementoError("NOT_FOUND", `Pipeline ${describeAddress(address)} has never run here`);
  return state;
}

async function headOf(vault: Vault, state: TimelineState): Promise<OpenedMemento> {
  if (state.head === null) throw new MementoError("NOT_FOUND", `${describeAddress(state.record)} has no memento`);
  return await vault.load(state.head.id);
}
