import { secureDelete } from "../../caretaker/secure-delete.ts";
import { MementoError } from "../../core/errors.ts";
import type { TimelineState } from "../../core/timeline.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Resources } from "../run/resources.ts";
import { readSnapshot, type RestoreRecord } from "../run/run-state.ts";
import { demandRevertible, forcedItems } from "./force.ts";
import {
  demandSettled,
  headOf,
  holdTimeline,
  openAsOf,
  timelineOf,
  type HeldTimeline,
  type TimelinePlace,
} from "./held-timeline.ts";
import { rosterOf } from "./participants/roster.ts";
import { demandPlan, planRestore, type RestorePlan } from "./plan.ts";
import { demandPurgeable, historyBefore, purgeHistory, removedBefore } from "./purge.ts";
import { applyRestore, told, type TimelineChangeOptions } from "./rollback.ts";

/** What a reset is asked for. */
export interface ResetChoice extends TimelinePlace {
  /** True: the data stays where it is, as data of the timeline, and only offsets, state and outputs are forgotten. Default false. */
  readonly keepData?: boolean;
}

/** How to reset. */
export interface ResetOptions extends ResetChoice, TimelineChangeOptions {
  /** The hash of the plan that was looked at. */
  readonly plan: string;
  /** The pipeline's name once more. */
  readonly confirm: string;
  /** True: the mementos before are removed, and there is no way back; `secure`: so that nobody can ever open them again. Default false. */
  readonly purge?: boolean | "secure";
}

/** What a reset would do: a plan whose target is nothing. */
export type ResetPlan = RestorePlan<null>;

/** What a reset did. */
export interface ResetResult {
  /** The new head: empty but for the marks of data. */
  readonly head: string;
  /** The memento just before: rolling back to it undoes the reset; null where it was purged. */
  readonly undo: string | null;
  readonly plan: ResetPlan;
  readonly evidence: unknown;
  /** How many mementos were removed. */
  readonly purged: number;
}

/**
 * Says what a reset would do; changes nothing, and needs no lease. Of one that a crash has cut short it is the plan by which it
 * began, and by which `resetPipeline` finishes it. NOT_FOUND, CREDENTIAL_UNAVAILABLE, CONFLICT while another restore stands unfinished.
 */
export async function planPipelineReset(
  vault: Vault,
  pipeline: Pipeline,
  options: ResetChoice = {},
): Promise<ResetPlan> {
  const state = await timelineOf(vault, pipeline, options);
  const head = await headOf(vault, state);
  const begun = await begunPlan(head, options);
  if (begun !== null) return begun;
  demandSettled(state, head);
  await using resources = await openAsOf(vault, pipeline, [head], options.signal);
  return await planOf({ vault, pipeline, resources, state, head, ...options });
}

/**
 * Takes back everything that a timeline has written, and forgets its offsets, state and outputs, by a plan that was looked at:
 * the next run begins as the first one did. The mementos before stay, and the reset can be rolled back, unless they are purged.
 * A crash anywhere leaves the state of before, or a reset that the next command on the timeline finishes. INVALID_ARGUMENT
 * unless the name is confirmed, PLAN_MOVED, NOT_REVERTIBLE, LOCKED, FENCED; CONFLICT for a purge of pinned mementos.
 */
export async function resetPipeline(vault: Vault, pipeline: Pipeline, options: ResetOptions): Promise<ResetResult> {
  const { purge = false, keepData = false, confirm } = options;
  if (confirm !== pipeline.name)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The name ${JSON.stringify(confirm)} does not confirm a reset of ${pipeline.name}`,
    );
  if (purge === "secure" && vault.ring === null)
    throw new MementoError(
      "CAPABILITY_MISSING",
      "The store is not sealed, and so nothing in it can be removed for good",
    );
  await using held = await holdTimeline(vault, pipeline, options);
  const { head, state, ports, finished } = held;
  const begun = finished?.fields()["plan"] as ResetPlan | undefined;
  // It was this very reset that stood unfinished.
  if (finished !== null && begun?.hash === options.plan) return await finishedReset(vault, options, held, begun);
  await using resources = await openAsOf(vault, pipeline, [head], ports.lease.signal);
  const plan = await planOf({ vault, pipeline, resources, state, head, keepData });
  demandPlan(plan, options.plan);
  const forced = forcedItems([plan], options.force);
  demandRevertible(plan, forced);
  if (purge !== false) await demandPurgeable(vault, head.entry);
  const before =
    purge === false ? [] : await historyBefore(vault, { ...head.entry, sequence: head.entry.sequence + 1 });
  const request = { kind: "reset", plan, target: null, forced, keepData, purge: purge !== false } as const;
  const { head: made, undo, evidence } = await applyRestore(held, resources, { ...request, ...told(options) });
  const purged = purge === false ? [] : [...before, undo];
  if (purge === "secure") await secureDelete(vault, purged, { reason: options.why ?? "", by: options.by ?? "" });
  return { head: made, undo: purge === false ? undo : null, plan, evidence, purged: purged.length };
}

/** The plan of the reset that a head has begun; null where it has begun none, or one that is to do otherwise with the data. */
async function begunPlan(head: OpenedMemento, { keepData = false }: ResetChoice): Promise<ResetPlan | null> {
  if (head.entry.status !== "reverting") return null;
  const { restore } = await readSnapshot(head);
  if (restore?.kind !== "reset" || (restore.keepData ?? false) !== keepData) return null;
  return head.fields()["plan"] as ResetPlan;
}

/** What a reset did that was begun before, and is finished now. */
async function finishedReset(
  vault: Vault,
  { purge = false, by = "", why: reason = "" }: ResetOptions,
  { head, finished }: HeldTimeline,
  plan: ResetPlan,
): Promise<ResetResult> {
  const evidence = head.fields()["evidence"] as RestoreRecord;
  const wasPurged = evidence.purge === true;
  if (!wasPurged && purge !== false) {
    await demandPurgeable(vault, head.entry);
    await purgeHistory(vault, head.entry);
  }
  const isPurged = wasPurged || purge !== false;
  const purged = isPurged ? await removedBefore(vault, head.entry) : [];
  if (purge === "secure") await secureDelete(vault, purged, { reason, by });
  const undo = isPurged ? null : (finished?.entry.id ?? null);
  return { head: head.entry.id, undo, plan, evidence, purged: purged.length };
}

interface PlanOfInput {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  readonly keepData?: boolean;
}

async function planOf(input: PlanOfInput): Promise<ResetPlan> {
  const { participants } = await rosterOf({ ...input, target: null });
  const touched = input.keepData === true ? participants.filter(({ kind }) => kind === "source") : participants;
  const plan = { ...input, target: null, participants: touched };
  return await input.resources.withoutSecrets(async () => await planRestore(plan));
}
