import { sha256OfJson } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { TimelineState } from "../../core/timeline.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { PIECE, readSnapshot, type PipelineSnapshot } from "../run/run-state.ts";
import { adaptationOf, isUnfinished, statusBehind } from "../schemas/adapt.ts";
import { namesOf } from "../schemas/shape.ts";
import type { ForeignChange, StayingRecords } from "../sinks/sink.ts";
import type { SourceOffsets } from "../sources/source.ts";
import { shortestName } from "./force.ts";
import type { Participant } from "./participants/participant.ts";
import type { ParticipantInspection, PipelineParticipant } from "./participants/pipeline-participant.ts";

/** What a plan says of one source. */
export interface SourcePlan {
  readonly name: string;
  readonly from: SourceOffsets;
  readonly to: SourceOffsets;
  /** Records to read again; null where the source cannot tell. */
  readonly recordsAgain: number | null;
  readonly available: boolean;
  readonly problem: string;
  /** Schema versions at the head, at the target, and of the code. */
  readonly schema: { readonly head: string | null; readonly target: string | null; readonly code: string };
}

/** What will become of a sink's data. */
export type SinkVerdict = "unchanged" | "revert" | "compensate" | "trimmed" | "not-revertible" | "elsewhere";

/** What a plan says of one sink. */
export interface SinkPlan {
  readonly name: string;
  /** Where it writes, for people. */
  readonly where: string;
  readonly verdict: SinkVerdict;
  /** Rows or files to take out. */
  readonly remove: number;
  /** Rows or files whose earlier content is put back. */
  readonly restore: number;
  /** Changes by others, at most 100 of `foreignTotal`; they stay unless the sink is forced by name. */
  readonly foreign: readonly ForeignChange[];
  readonly foreignTotal: number;
  /** What stays where it is, whatever is done; left out where all goes. */
  readonly stays?: StayingRecords;
  /** How much of it the sink has no answer for; left out for none. */
  readonly unanswered?: number;
  readonly fingerprint: string;
}

/** What will become of what a participant holds. */
export type ParticipantVerdict = "unchanged" | "revert" | "not-revertible";

/** What a plan says of a participant that the pipeline declares. */
export interface ParticipantPlan extends ParticipantInspection {
  readonly name: string;
  readonly kind: PipelineParticipant["kind"];
  readonly where: string;
  readonly verdict: ParticipantVerdict;
}

/** What a plan says of a stage that can be undone: one that is done at the head alone is, one that is done at the target alone cannot be had. */
export interface UndoPlan {
  readonly name: string;
  readonly run: string;
  readonly verdict: "compensate" | "not-revertible";
  /** Why it is not revertible; empty where it is undone. */
  readonly problem: string;
}

/** A memento as a plan names it. */
export interface PlanPoint {
  readonly id: string;
  readonly sequence: number;
  readonly generation: number;
  readonly created: string;
  readonly reason: string;
  readonly stage: string | null;
  readonly run: string | null;
}

/** What a rollback would do, item by item. It changes nothing until it is applied by its hash. */
export interface RollbackPlan {
  readonly timeline: string;
  readonly pipeline: string;
  readonly head: PlanPoint;
  readonly target: PlanPoint;
  /** Whose offsets, state and outputs are taken, where they are not the target's: the head of a fork that is adopted. */
  readonly content: PlanPoint | null;
  readonly sources: readonly SourcePlan[];
  readonly sinks: readonly SinkPlan[];
  /** What the pipeline declares to go back besides. */
  readonly participants: readonly ParticipantPlan[];
  /** Stages to undo, in this order. */
  readonly undo: readonly UndoPlan[];
  /** The chosen items by their full names, as `sink:orders`; null: all of them. */
  readonly only: readonly string[] | null;
  /** What will no longer describe the same moment, where only some items go back. */
  readonly warnings: readonly string[];
  readonly stagesAgain: readonly string[];
  /** Keys of the state that change. */
  readonly state: readonly string[];
  /** What the code casts to its schemas, and calls otherwise, when it goes on from there; for people. */
  readonly casts: readonly string[];
  /** Credentials to acquire anew before anything is read. */
  readonly credentials: readonly { readonly name: string; readonly provider: string; readonly scope: string }[];
  /** The live holder whose lease stands in the way; null when nobody holds it. */
  readonly lease: { readonly epoch: number; readonly expires: string } | null;
  /** What cannot be reverted, by the shortest name that means no other item, as `orders` or `sink:orders`: each refuses the plan unless it is forced. */
  readonly refused: readonly string[];
  /** Five parts: head and target, sources, sinks, participants, the rest. A plan that moved says which part did, and which items of it. */
  readonly hash: string;
}

/** What a plan is made from. */
export interface PlanInput<Target extends OpenedMemento | null = OpenedMemento> {
  readonly pipeline: Pipeline;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  /** null: nothing, as before the first memento. */
  readonly target: Target;
  /** Whose offsets, state and outputs are taken, where they are not the target's. */
  readonly content?: OpenedMemento;
  /** Those that take part. */
  readonly participants: readonly Participant[];
  /** The chosen items by their full names; all by default. */
  readonly only?: readonly string[] | null;
  readonly warnings?: readonly string[];
}

/** A plan of a restore, to a memento or to nothing. */
export type RestorePlan<Target> = Omit<RollbackPlan, "target"> & { readonly target: Target };

/** Looks at all participants and says what going back would do; changes nothing. */
export async function planRestore<Target extends OpenedMemento | null>(
  input: PlanInput<Target>,
): Promise<RestorePlan<Target extends null ? null : PlanPoint>> {
  const { pipeline, state, head, target, content = target, participants, only = null, warnings = [] } = input;
  const goal = { now: await readSnapshot(head), wanted: await goalSnapshot(target, content) };
  const found = { sources: [], sinks: [], participants: [], undo: [], credentials: [] } as Found;
  const refused: Participant[] = [];
  for (const participant of participants) {
    const { refused: cannot, ...part } = await participant.inspect(goal);
    for (const key of PARTS) found[key].push(...((part[key] ?? []) as never[]));
    if (cannot === true) refused.push(participant);
  }
  const fit =
    only === null && content !== null ? await codeFit(pipeline, content, goal.wanted) : { casts: [], problems: [] };
  const forceable = participants.filter(({ kind }) => kind !== "credential");
  const body = {
    timeline: state.record.key,
    pipeline: pipeline.name,
    head: pointOf(head.entry),
    target: (target === null ? null : pointOf(target.entry)) as Target extends null ? null : PlanPoint,
    content: content === target || content === null ? null : pointOf(content.entry),
    only,
    ...found,
    stagesAgain: pipeline.stages.filter((stage) => isRunAgain(stage, goal.wanted, only)).map(({ name }) => name),
    state: changedState(head, content, only),
    casts: fit.casts,
    warnings: [...warnings, ...fit.problems],
    refused: [...new Set(refused.map((item) => shortestName(forceable, item)))],
  };
  const { lease } = state;
  const held = lease.owner === null ? null : { epoch: lease.epoch, expires: new Date(lease.expiresAt).toISOString() };
  return { ...body, lease: held, hash: planHash(body) };
}

const PARTS = ["sources", "sinks", "participants", "undo", "credentials"] as const;

type Found = { [Key in (typeof PARTS)[number]]: RollbackPlan[Key][number][] };

/** Where data goes back to one memento, and offsets, state and outputs are those of another one. */
export async function goalSnapshot(
  target: OpenedMemento | null,
  content: OpenedMemento | null,
): Promise<PipelineSnapshot> {
  const then = await readSnapshot(content);
  if (content === target) return then;
  const { sinks, participants } = await readSnapshot(target);
  return { ...then, sinks, participants };
}

function isRunAgain(stage: StageDefinition, then: PipelineSnapshot, only: readonly string[] | null): boolean {
  if (only !== null) return only.includes(`stage:${stage.name}`);
  return !namesOf(stage).some((name) => then.completed.has(name));
}

function changedState(head: OpenedMemento, content: OpenedMemento | null, only: readonly string[] | null): string[] {
  if (only !== null && !only.includes("state")) return [];
  return [...new Set([...head.keys(PIECE.state), ...(content?.keys(PIECE.state) ?? [])])]
    .filter((key) => head.directory.get(key)?.digest !== content?.directory.get(key)?.digest)
    .map((key) => key.slice(PIECE.state.length));
}

/** How the code would go on from a memento; what stands in its way does not keep data from going back. */
async function codeFit(
  pipeline: Pipeline,
  content: OpenedMemento,
  snapshot: PipelineSnapshot,
): Promise<{ readonly casts: readonly string[]; readonly problems: readonly string[] }> {
  try {
    const goesOn = isUnfinished(statusBehind(content.entry, snapshot));
    const { changes } = await adaptationOf(pipeline, content, snapshot, goesOn);
    return { casts: changes, problems: [] };
  } catch (error) {
    if (!isMementoError(error, "SCHEMA_UNREADABLE") && !isMementoError(error, "PIPELINE_CHANGED")) throw error;
    return { casts: [], problems: [`this code cannot go on from there: ${error.message}`] };
  }
}

function pointOf(entry: MementoEntry): PlanPoint {
  const { id, sequence, generation, created, reason } = entry;
  return { id, sequence, generation, created, reason, stage: entry.stage ?? null, run: entry.run ?? null };
}

type HashedPlan = Omit<RestorePlan<PlanPoint | null>, "hash" | "lease">;
type NamedItems = Pick<HashedPlan, "sources" | "sinks" | "participants">;

/** What the parts of a hash are of; those with a key have items that are named. */
const HASH_PARTS: readonly (string | readonly [one: string, key: keyof NamedItems])[] = [
  "the head, the target or the choice of items",
  ["source", "sources"],
  ["sink", "sinks"],
  ["participant", "participants"],
  "the pipeline, its state, its undone stages or its credentials",
];

const PART_CHARS = 10;
/** For each item behind its part's own: enough to say which ones moved, once the part says that some did. */
const ITEM_CHARS = 4;

function planHash(plan: HashedPlan): string {
  const { head, target, content, timeline, only, sources, sinks, participants, ...rest } = plan;
  return [
    digestText({ head, target, content, timeline, only }, PART_CHARS),
    ...[sources, sinks, participants].map(
      (items) => digestText(items, PART_CHARS) + items.map((item) => digestText(item, ITEM_CHARS)).join(""),
    ),
    digestText(rest, PART_CHARS),
  ].join(".");
}

function digestText(value: unknown, chars: number): string {
  return sha256OfJson(JSON.parse(JSON.stringify(value)) as Json)
    .replaceAll(/[-_]/g, "x")
    .slice(0, chars);
}

/** Throws PLAN_MOVED, naming what moved, unless the plan has the hash that was looked at. */
export function demandPlan(plan: NamedItems & { readonly hash: string }, hash: string): void {
  if (plan.hash === hash) return;
  const [now, then] = [plan.hash.split("."), hash.split(".")];
  if (then.length !== now.length)
    throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(hash)} is not the hash of a plan`);
  const moved = HASH_PARTS.flatMap((part, index) => {
    const [is, was] = [now[index] ?? "", then[index] ?? ""];
    if (is === was) return [];
    return typeof part === "string" ? part : movedItems(part[0], plan[part[1]], is, was);
  });
  throw new MementoError("PLAN_MOVED", `Since the plan was made, ${moved.join(" and ")} moved`, {
    details: { moved, planned: hash, now: plan.hash },
  });
}

/** By their names, where the plan had as many as now. */
function movedItems(kind: string, items: readonly { readonly name: string }[], is: string, was: string): string {
  const digestAt = (part: string, index: number): string => {
    const start = PART_CHARS + index * ITEM_CHARS;
    return part.slice(start, start + ITEM_CHARS);
  };
  const names =
    is.length === was.length
      ? items.filter((_item, index) => digestAt(is, index) !== digestAt(was, index)).map(({ name }) => name)
      : [];
  if (names.length === 0) return `the ${kind}s`;
  return `the ${kind}${names.length === 1 ? "" : "s"} ${names.join(", ")}`;
}
