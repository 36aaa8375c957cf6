import { sha256OfJson } from "../core/digest.ts";
import { MementoError } from "../core/errors.ts";
import type { Json } from "../core/json.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { TimelineState } from "../core/timeline.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Resources } from "./resources.ts";
import { readSnapshot, type PipelineSnapshot } from "./run-state.ts";
import type { ForeignChange, Sink, SinkInspection, StayingRecords } from "./sinks/sink.ts";
import type { SourceOffsets } from "./sources/source.ts";

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
  readonly fingerprint: string;
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
  readonly sources: readonly SourcePlan[];
  readonly sinks: readonly SinkPlan[];
  readonly stagesAgain: readonly string[];
  /** Keys of the state that change. */
  readonly state: readonly string[];
  /** Credentials to acquire anew before anything is read. */
  readonly credentials: readonly { readonly name: string; readonly provider: string; readonly scope: string }[];
  /** The live holder whose lease stands in the way; null when nobody holds it. */
  readonly lease: { readonly epoch: number; readonly expires: string } | null;
  /** Names of items that cannot be reverted: each refuses the plan unless it is forced. */
  readonly refused: readonly string[];
  /** Four parts: head and target, sources, sinks, the rest. A plan that moved says which part did. */
  readonly hash: string;
}

/** What a plan is made from. */
export interface PlanInput {
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly state: TimelineState;
  readonly head: OpenedMemento;
  readonly target: OpenedMemento;
}

/** Looks at sources and sinks and says what going back would do; changes nothing. */
export async function planRollback(input: PlanInput): Promise<RollbackPlan> {
  const { pipeline, resources, state, head, target } = input;
  const [now, then] = [await readSnapshot(head), await readSnapshot(target)];
  const sources = await planSources(resources, now, then);
  const sinks = await planSinks(resources, now, then);
  const stateKeys = [...new Set([...head.keys("state/"), ...target.keys("state/")])];
  const body = {
    timeline: state.record.key,
    pipeline: pipeline.name,
    head: pointOf(head.entry),
    target: pointOf(target.entry),
    sources,
    sinks,
    stagesAgain: pipeline.stages.map(({ name }) => name).filter((name) => !then.completed.has(name)),
    state: stateKeys
      .filter((key) => head.directory.get(key)?.digest !== target.directory.get(key)?.digest)
      .map((key) => key.slice("state/".length)),
    credentials: Object.entries(pipeline.credentials).map(([name, { kind, scope }]) => ({
      name,
      provider: kind,
      scope,
    })),
    refused: [
      ...sources.filter(({ available }) => !available).map(({ name }) => name),
      ...sinks
        .filter(({ verdict }) => verdict === "trimmed" || verdict === "not-revertible" || verdict === "elsewhere")
        .map(({ name }) => name),
    ],
  };
  const { lease } = state;
  const held = lease.owner === null ? null : { epoch: lease.epoch, expires: new Date(lease.expiresAt).toISOString() };
  return { ...body, lease: held, hash: planHash(body) };
}

async function planSources(resources: Resources, now: PipelineSnapshot, then: PipelineSnapshot): Promise<SourcePlan[]> {
  const plans: SourcePlan[] = [];
  for (const [name, source] of resources.sources) {
    const [from, to] = [now.offsets.get(name) ?? {}, then.offsets.get(name) ?? {}];
    const { available, problem, recordsBetween } = await source.inspect(to, from);
    const schema = { head: now.schema[name] ?? null, target: then.schema[name] ?? null, code: source.schemaVersion };
    plans.push({ name, from, to, recordsAgain: recordsBetween, available, problem, schema });
  }
  return plans;
}

async function planSinks(resources: Resources, now: PipelineSnapshot, then: PipelineSnapshot): Promise<SinkPlan[]> {
  const plans: SinkPlan[] = [];
  const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, fingerprint: "" };
  for (const [name, sink] of resources.sinks) {
    const [where, place] = [sink.describe(), await sink.place()];
    const mark = then.sinks.get(name)?.marks[place] ?? null;
    const inspection = await sink.inspect(mark);
    const { remove, restore, foreign, foreignTotal, stays, fingerprint } = inspection;
    const counts = { remove, restore, foreign, foreignTotal, ...(stays === undefined ? {} : { stays }), fingerprint };
    plans.push({ name, where, verdict: verdictOf(sink, inspection), ...counts });
    for (const other of placesBehind(now, then, name, place))
      plans.push({ name, where: `another place (${other})`, verdict: "elsewhere", ...nothing });
  }
  return plans;
}

function verdictOf({ supports }: Sink, inspection: SinkInspection): SinkVerdict {
  if (inspection.trimmed) return "trimmed";
  const { remove, restore, foreignTotal, stays } = inspection;
  if (remove + restore + foreignTotal + (stays?.total ?? 0) === 0) return "unchanged";
  if (supports.revert === "none") return "not-revertible";
  return supports.revert === "compensate" ? "compensate" : "revert";
}

/** Places that the sink wrote to since the target, other than the one that its present parameters name. */
function placesBehind(now: PipelineSnapshot, then: PipelineSnapshot, name: string, place: string): string[] {
  const marks = now.sinks.get(name)?.marks ?? {};
  const before = then.sinks.get(name)?.marks ?? {};
  return Object.keys(marks).filter(
    (other) => other !== place && JSON.stringify(marks[other]) !== JSON.stringify(before[other] ?? null),
  );
}

function pointOf(entry: MementoEntry): PlanPoint {
  const { id, sequence, generation, created, reason } = entry;
  return { id, sequence, generation, created, reason, stage: entry.stage ?? null, run: entry.run ?? null };
}

const HASH_PARTS = [
  "the head or the target",
  "the sources",
  "the sinks",
  "the pipeline, its state or its credentials",
] as const;

function planHash(plan: Omit<RollbackPlan, "hash" | "lease">): string {
  const { head, target, timeline, sources, sinks, ...rest } = plan;
  const parts: unknown[] = [{ head, target, timeline }, sources, sinks, rest];
  return parts
    .map((part) =>
      sha256OfJson(JSON.parse(JSON.stringify(part)) as Json)
        .replaceAll(/[-_]/g, "x")
        .slice(0, 10),
    )
    .join(".");
}

/** Throws PLAN_MOVED, naming what moved, unless the plan has the hash that was looked at. */
export function demandPlan(plan: RollbackPlan, hash: string): void {
  if (plan.hash === hash) return;
  const [now, then] = [plan.hash.split("."), hash.split(".")];
  if (then.length !== now.length)
    throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(hash)} is not the hash of a plan`);
  const moved = HASH_PARTS.filter((_part, index) => now[index] !== then[index]);
  throw new MementoError("PLAN_MOVED", `Since the plan was made, ${moved.join(" and ")} moved`, {
    details: { moved, planned: hash, now: plan.hash },
  });
}
