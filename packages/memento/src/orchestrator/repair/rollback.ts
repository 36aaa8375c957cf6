import { demandLive, pinForRestore } from "../../caretaker/pins.ts";
import { MementoError } from "../../core/errors.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import type { LeaseOptions } from "../../vault/lease-keeper.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Resources } from "../run/resources.ts";
import type { RunListener } from "../run/run-event.ts";
import { PIECE } from "../run/run-state.ts";
import { demandRevertible, forcedItems } from "./force.ts";
import {
  holdTimeline,
  openAsOf,
  settledHead,
  timelineOf,
  type HeldTimeline,
  type TimelinePlace,
} from "./held-timeline.ts";
import { rosterOf } from "./participants/roster.ts";
import { demandPlan, planRestore, type RollbackPlan } from "./plan.ts";
import { beginRestore, finishRestore, type RestoreRequest } from "./restore.ts";
import { resolveTarget } from "./target.ts";

/** Which timeline of a pipeline is meant, and how. */
export type RollbackPlace = TimelinePlace;

/** What a plan is asked for. */
export interface PlanOptions extends RollbackPlace {
  /**
   * Only these items go back: `sink:orders`, `source:ids`, `stage:load`, `state`, or a participant as `ledger:files`; a plain name
   * where no other item has it. All others stay as they are at the head. A stage is taken as not done, with all that depend on it.
   */
  readonly only?: readonly string[];
}

/** Who asks for a change of a timeline, why, and what may stay; kept as evidence. */
export interface TimelineChangeOptions extends RollbackPlace, LeaseOptions {
  readonly by?: string;
  readonly why?: string;
  /** Items that may go on though they cannot be reverted, or whose foreign changes are taken too: `sink:orders`, or `orders` where no other item has that name. */
  readonly force?: readonly string[];
  readonly onEvent?: RunListener;
}

/** How to apply a plan. */
export interface RollbackOptions extends TimelineChangeOptions, PlanOptions {
  /** The hash of the plan that was looked at. */
  readonly plan: string;
  /** True: the new head waits, until it is resumed, or a run is started with `fresh`. Default false. */
  readonly paused?: boolean;
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
  options: PlanOptions = {},
): Promise<RollbackPlan> {
  const state = await timelineOf(vault, pipeline, options);
  const head = await settledHead(vault, state);
  const wanted = demandLive(await vault.load(await resolveTarget(vault, state, target)));
  await using resources = await openAsOf(vault, pipeline, [head, wanted], options.signal);
  return await planOf({ vault, pipeline, resources, state, head, target: wanted, ...options });
}

/**
 * Takes the timeline and everything that it wrote back to a memento, by a plan that was looked at: offsets, state, stage
 * outputs, participants and sinks together, or only the chosen ones. The target's state becomes a new head, so nothing is
 * lost and the rollback can itself be rolled back. A crash anywhere leaves the state of before, or a restore that the next
 * command on the timeline finishes. PLAN_MOVED, NOT_REVERTIBLE, LOCKED, FENCED.
 */
export async function rollbackPipeline(
  vault: Vault,
  pipeline: Pipeline,
  target: string,
  options: RollbackOptions,
): Promise<RollbackResult> {
  await using held = await holdTimeline(vault, pipeline, options);
  const { ports, state, head, finished } = held;
  const [done, begun] = [head.fields()["evidence"], finished?.fields()["plan"] as RollbackPlan | undefined];
  // It was this very rollback that stood unfinished.
  if (finished !== null && begun?.hash === options.plan)
    return { head: head.entry.id, undo: finished.entry.id, plan: begun, evidence: done };
  const targetId = await resolveTarget(vault, state, target);
  await using _pin = await pinForRestore(vault, targetId, ports.lease.state);
  const wanted = demandLive(await vault.load(targetId));
  if (options.paused === true && options.only === undefined) demandRun(wanted);
  await using resources = await openAsOf(vault, pipeline, [head, wanted], ports.lease.signal);
  const plan = await planOf({ vault, pipeline, resources, state, head, target: wanted, ...options });
  demandPlan(plan, options.plan);
  const forced = forcedItems([plan], options.force);
  demandRevertible(plan, forced);
  const request = { kind: "rollback", plan, target: wanted, forced, paused: options.paused ?? false } as const;
  const { head: restored, undo, evidence } = await applyRestore(held, resources, { ...request, ...told(options) });
  return { head: restored, undo, plan, evidence };
}

/** Throws INVALID_ARGUMENT where there is nothing to be resumed: a run that somebody starts would begin at once. */
function demandRun(memento: OpenedMemento): void {
  if (memento.has(PIECE.run)) return;
  throw new MementoError("INVALID_ARGUMENT", `At memento ${memento.entry.id} there is no run that could wait`, {
    hint: "Roll back without pausing: the next run begins when somebody starts it.",
  });
}

/** Who asked, and why, as a restore keeps it. */
export function told({ by = "", why = "" }: TimelineChangeOptions): Pick<RestoreRequest, "by" | "why"> {
  return { by, why };
}

/** Begins a restore whose plan was looked at, and finishes it. */
export async function applyRestore(
  { ports, head, state }: HeldTimeline,
  resources: Resources,
  request: RestoreRequest,
): Promise<{ readonly head: string; readonly undo: string; readonly evidence: unknown }> {
  const begun = await beginRestore(ports, head, request);
  const restored = await finishRestore(ports, begun, resources);
  if (restored === null)
    throw new MementoError("DAMAGED", `The restore of ${describeAddress(state.record)} has no head`);
  return { head: restored.entry.id, undo: begun.entry.id, evidence: restored.fields()["evidence"] };
}

interface PlanOfInput extends PlanOptions {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  readonly target: OpenedMemento;
}

async function planOf(input: PlanOfInput): Promise<RollbackPlan> {
  return await input.resources.withoutSecrets(async () => await planRestore({ ...input, ...(await rosterOf(input)) }));
}
