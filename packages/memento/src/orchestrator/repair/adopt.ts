import { demandLive, pinForRestore } from "../../caretaker/pins.ts";
import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { Resources } from "../run/resources.ts";
import { readSnapshot } from "../run/run-state.ts";
import { demandRevertible, forcedAmong, forcedItems, refusableItems } from "./force.ts";
import { holdTimeline, openAsOf, settledHead, timelineOf, type TimelinePlace } from "./held-timeline.ts";
import { rosterOf } from "./participants/roster.ts";
import { demandPlan, planRestore, type RollbackPlan } from "./plan.ts";
import {
  applyRestore,
  planPipelineRollback,
  rollbackPipeline,
  told,
  type RollbackResult,
  type TimelineChangeOptions,
} from "./rollback.ts";

/** What an adoption is asked for. */
export interface AdoptChoice extends Omit<TimelinePlace, "fork"> {
  /** The fork's name. */
  readonly fork: string;
  /** True: what the fork has written is taken out, and the timeline that it came from goes back to the fork's beginning, from which its next run writes it anew. Default false. */
  readonly rerun?: boolean;
}

/** How to adopt. */
export interface AdoptOptions extends AdoptChoice, Omit<TimelineChangeOptions, "fork"> {
  /** The hash of the plan that was looked at. */
  readonly plan: string;
}

/** Something that a fork has written, and that belongs to it. */
export interface ForkData {
  readonly kind: string;
  readonly name: string;
  readonly where: string;
  /** Rows, files or entries of the fork; null where they may be at an earlier place of its parameters, where nobody looks: they stay there. */
  readonly entries: number | null;
}

/** What an adoption would do to the timeline that the fork came from, and to the fork. */
export interface AdoptPlan extends RollbackPlan {
  readonly forkData: readonly ForkData[];
  /** How what the fork has written is taken out; null where it stays, or there is nothing. */
  readonly forkPlan: RollbackPlan | null;
}

/** What an adoption did. */
export interface AdoptResult extends Omit<RollbackResult, "plan"> {
  readonly plan: AdoptPlan;
}

/** Says what an adoption would do; changes nothing, and needs no lease. NOT_FOUND, CREDENTIAL_UNAVAILABLE. */
export async function planPipelineAdoption(vault: Vault, pipeline: Pipeline, choice: AdoptChoice): Promise<AdoptPlan> {
  const { fork, origin } = await bothTimelines(vault, pipeline, choice);
  const forkHead = await settledHead(vault, fork);
  const forkData = await dataOfFork(vault, pipeline, forkHead, null);
  const target = await forkPoint(vault, fork);
  const head = await settledHead(vault, origin);
  await using resources = await openAsOf(vault, pipeline, [head, target], choice.signal);
  const begin = choice.rerun === true && forkData.some(isInTheWay) ? await beginningOf(vault, fork) : null;
  const forkPlan = begin === null ? null : await planPipelineRollback(vault, pipeline, begin.entry.id, { ...choice });
  const plan = await planOf({ vault, pipeline, resources, state: origin, head, target, content: begin ?? forkHead });
  const hash = forkPlan === null ? plan.hash : `${plan.hash}+${forkPlan.hash}`;
  return { ...plan, hash, forkData, forkPlan };
}

/**
 * Makes a fork's head the new head of the timeline that it came from: its offsets, state and outputs, by a plan that was looked
 * at. Sinks and participants of that timeline go back to where the fork began, for what was written since does not belong to
 * what is adopted. Rows belong to the timeline that wrote them, so a fork that has written any is refused with NOT_REVERTIBLE,
 * by their names; with `rerun` they are taken out, and the next run writes them anew, with the mended code. What it has at
 * an earlier place of its parameters stays there, and is named.
 *
 * A crash leaves both timelines as they were, or the fork at its beginning, or a restore that the next command finishes; planned
 * again, the adoption goes on from each. PLAN_MOVED, NOT_REVERTIBLE, LOCKED, FENCED.
 */
export async function adoptPipeline(vault: Vault, pipeline: Pipeline, options: AdoptOptions): Promise<AdoptResult> {
  const [hash = "", forkHash] = options.plan.split("+");
  const { fork, origin, place } = await bothTimelines(vault, pipeline, options);
  const done = await finishStanding(vault, pipeline, options, place);
  if (done !== null) return done;
  // All is judged before the fork is touched.
  const plan = await planPipelineAdoption(vault, pipeline, options);
  demandPlan({ ...plan, hash: plan.hash.split("+")[0] ?? "" }, hash);
  const { forkPlan } = plan;
  const forced = forcedItems(forkPlan === null ? [plan] : [plan, forkPlan], options.force);
  demandRevertible(plan, forced);
  if (forkPlan === null) demandUnwritten(fork, plan.forkData);
  else {
    demandPlan(forkPlan, forkHash ?? "");
    const force = forcedAmong(refusableItems(forkPlan), forced);
    await rollbackPipeline(vault, pipeline, forkPlan.target.id, { ...options, plan: forkPlan.hash, force });
  }
  await using forkHeld = await holdTimeline(vault, pipeline, options);
  demandUnwritten(forkHeld.state, await dataOfFork(vault, pipeline, forkHeld.head, forkHeld.ports.lease.epoch));
  await using held = await holdTimeline(vault, pipeline, { ...options, ...place });
  const lease = held.ports.lease;
  const target = await forkPoint(vault, forkHeld.state);
  await using _pin = await pinForRestore(vault, target.entry.id, lease.state);
  await using _content = await pinForRestore(vault, forkHeld.head.entry.id, lease.state);
  demandLive(await vault.load(target.entry.id));
  await using resources = await openAsOf(vault, pipeline, [held.head, target], lease.signal);
  const now = await planOf({
    vault,
    pipeline,
    resources,
    state: held.state,
    head: held.head,
    target,
    content: forkHeld.head,
  });
  // After a rerun the fork has a new head, with what it began with.
  if (forkPlan === null) demandPlan(now, hash);
  else if (held.head.entry.id !== plan.head.id)
    throw new MementoError("PLAN_MOVED", `Since the plan was made, ${describeAddress(origin.record)} moved`);
  // What was looked at, by the hash that it had: by that it is told when it has to be finished.
  const looked = { ...now, hash: options.plan, forkData: plan.forkData, forkPlan };
  const request = { kind: "adopt", plan: looked, target, forced, content: forkHeld.head.entry.id } as const;
  const { head, undo, evidence } = await applyRestore(held, resources, { ...request, ...told(options) });
  return { head, undo, evidence, plan };
}

/** Finishes what stands unfinished on the fork or the origin. Gives what was done where that was this very adoption; null otherwise. */
async function finishStanding(
  vault: Vault,
  pipeline: Pipeline,
  options: AdoptOptions,
  origin: TimelinePlace,
): Promise<AdoptResult | null> {
  for (const place of [options, { ...options, ...origin }]) {
    const state = await timelineOf(vault, pipeline, place);
    if (state.head === null || (await vault.load(state.head.id)).entry.status !== "reverting") continue;
    await using held = await holdTimeline(vault, pipeline, place);
    const { head, finished } = held;
    const plan = finished?.fields()["plan"] as AdoptPlan | undefined;
    if (finished !== null && plan?.hash === options.plan)
      return { head: head.entry.id, undo: finished.entry.id, evidence: head.fields()["evidence"], plan };
  }
  return null;
}

interface BothTimelines {
  readonly fork: TimelineState;
  readonly origin: TimelineState;
  /** How the timeline that the fork came from is found. */
  readonly place: TimelinePlace;
}

async function bothTimelines(vault: Vault, pipeline: Pipeline, choice: AdoptChoice): Promise<BothTimelines> {
  const fork = await timelineOf(vault, pipeline, choice);
  const { forkedFrom } = fork.record;
  const key = forkedFrom === null ? undefined : parseMementoId(forkedFrom)?.timeline;
  if (key === undefined)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${describeAddress(fork.record)} is no fork, and so nothing can adopt it`,
    );
  const origin = await vault.timeline(key);
  const { caretaker, partition, fork: name } = origin.record;
  return { fork, origin, place: { caretaker, partition, fork: name } };
}

async function forkPoint(vault: Vault, { record }: TimelineState): Promise<OpenedMemento> {
  return demandLive(await vault.load(record.forkedFrom ?? ""));
}

/** The fork's first memento; NOT_FOUND where it was removed. */
async function beginningOf(vault: Vault, { record }: TimelineState): Promise<OpenedMemento> {
  for await (const { entry } of vault.store.query(mementoQuery({ timeline: record.key, order: "ascending", limit: 1 })))
    if (entry.sequence === 1) return await vault.load(entry.id);
  throw new MementoError("NOT_FOUND", `The first memento of ${describeAddress(record)} was removed`);
}

/** What the fork has in sinks and participants. With an epoch they are fenced first, so that the answer stays true. */
async function dataOfFork(
  vault: Vault,
  pipeline: Pipeline,
  head: OpenedMemento,
  epoch: number | null,
): Promise<ForkData[]> {
  await using resources = await openAsOf(vault, pipeline, [head]);
  const found: ForkData[] = [];
  const holders = [
    ...[...resources.sinks].map(([name, holder]) => ({ name, holder, kind: "sink" })),
    ...[...resources.participants].map(([name, holder]) => ({ name, holder, kind: holder.kind })),
  ];
  for (const { name, kind, holder } of holders) {
    const inspection = await resources.withoutSecrets(async () => {
      if (epoch !== null) await holder.fence(epoch);
      return await holder.inspect(null);
    });
    const stays = "stays" in inspection ? (inspection.stays?.total ?? 0) : 0;
    const entries = inspection.remove + inspection.restore + inspection.foreignTotal + stays;
    if (entries > 0) found.push({ kind, name, where: holder.describe(), entries });
  }
  const { sinks } = await readSnapshot(head);
  for (const [name, sink] of resources.sinks) {
    const present = await sink.place();
    for (const [place, mark] of Object.entries(sinks.get(name)?.marks ?? {}))
      if (place !== present && mark !== null)
        found.push({ kind: "sink", name, where: `another place (${place})`, entries: null });
  }
  return found;
}

/** True for what an adoption can neither hand over nor leave. */
const isInTheWay = ({ entries }: ForkData): boolean => entries !== null;

/** Throws NOT_REVERTIBLE, naming it, where the fork has data that is in the way. */
function demandUnwritten({ record }: TimelineState, forkData: readonly ForkData[]): void {
  const data = forkData.filter(isInTheWay);
  if (data.length === 0) return;
  const list = data.map(({ kind, name, where, entries }) => `${kind} ${name} (${entries} of ${where})`).join(", ");
  throw new MementoError(
    "NOT_REVERTIBLE",
    `${describeAddress(record)} has written data, which belongs to it: ${list}`,
    {
      hint: "Plan the adoption with rerun: the fork's data is taken out, and the next run writes it anew with the mended code.",
      details: { items: data.map(({ name }) => name) },
    },
  );
}

interface PlanOfInput {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  readonly target: OpenedMemento;
  readonly content: OpenedMemento;
}

async function planOf(input: PlanOfInput): Promise<RollbackPlan> {
  return await input.resources.withoutSecrets(async () => await planRestore({ ...input, ...(await rosterOf(input)) }));
}
