import { MementoError } from "../../core/errors.ts";
import type { FlowSummary, ReadStage, StageContext, StageDefinition, TaskStage } from "../pipeline/stage.ts";
import { runApproval } from "./approval-run.ts";
import { StageFailure, stopHere, withAttempts, type StagePorts } from "./attempts.ts";
import { runEach } from "./each-run.ts";
import { flowSegment, runFlow, type FlowSegment } from "./flow-run.ts";
import { complete, SKIPPED } from "./stage-end.ts";
import type { StageInput } from "./stage-outputs.ts";
import type { StageRun } from "./stage-run.ts";
import { fitted } from "./stage-schema.ts";
import { StopRun } from "./stop.ts";

/** What runs as one: a stage, or a flow from its read stage to its ends. */
export interface StageUnit {
  readonly first: StageDefinition;
  readonly segment: FlowSegment | null;
}

/** The unit that a stage belongs to. */
export function unitOf(stage: StageDefinition, stages: readonly StageDefinition[]): StageUnit {
  if (stage.type !== "read" && stage.type !== "map" && stage.type !== "write") return { first: stage, segment: null };
  // A later stage of a flow whose first stages are done already: the flow's read stage is found by going back.
  let root: StageDefinition | undefined = stage;
  while (root !== undefined && root.type !== "read") {
    const before: string | undefined = root.after[0];
    root = stages.find(({ name }) => name === before);
  }
  if (root === undefined) throw new MementoError("INVALID_PIPELINE", `Stage ${stage.name} belongs to no flow`);
  return { first: stage, segment: flowSegment(root, stages) };
}

/** Runs a unit to its end, with its mementos. StageFailure, StopRun. */
export async function runUnit(ports: StagePorts, { first, segment }: StageUnit): Promise<void> {
  const { session, stop } = ports;
  try {
    await stopHere(session, stop, first);
    session.emit({
      type: "stage-started",
      stage: first.name,
      index: session.indexOf(first),
      of: session.pipeline.stages.length,
    });
    if (segment !== null) await runSegment(ports, segment);
    else if (first.type === "task") await runTask(ports, first);
    else if (first.type === "each") await runEach(ports, first);
    else if (first.type === "approval") await runApproval(ports, first);
    // After a failure what it holds stays its own: no memento covers what lies there.
    session.claims.release(segment?.root.name ?? first.name);
  } catch (error) {
    throw error instanceof StopRun || error instanceof StageFailure ? error : new StageFailure(first, error);
  }
}

async function runTask(ports: StagePorts, stage: TaskStage): Promise<void> {
  const { session, outputs } = ports;
  if (stage.risky) await session.save({ reason: "risk", status: "running", stage });
  const given = async (): Promise<StageInput> => await outputs.inputOf(stage);
  const begun = session.underWay.has(stage.name);
  const plain = stage.when === null && stage.input === null && stage.output === null;
  const { run, value } = await withAttempts(ports, { stage, given }, (attempt, input) => {
    const context = attempt.context() as StageContext<never>;
    return plain ? stage.run(context, input) : runChecked(stage, context, input, begun);
  });
  run.work.progress = null;
  await complete(ports, {
    run,
    stage,
    value,
    records: run.progress.records,
    provenance: { input: outputs.digestOf(stage) },
  });
}

async function runChecked(
  stage: TaskStage,
  context: StageContext<never>,
  given: StageInput,
  begun: boolean,
): Promise<unknown> {
  // What has begun is brought to its end: the branch was taken when it began.
  if (stage.when !== null && !begun && !((await stage.when(given, context)) as boolean)) return SKIPPED;
  const input = await fitted(stage, "input", given);
  const value: unknown = await stage.run(context, input as StageInput);
  return await fitted(stage, "output", value);
}

async function runSegment(ports: StagePorts, { root, stages }: FlowSegment): Promise<void> {
  const { session } = ports;
  const named: ReadStage = {
    ...root,
    checkpoint: stages.findLast(({ checkpoint }) => checkpoint !== null)?.checkpoint ?? session.pipeline.checkpoint,
    retry: stages.find(({ retry }) => retry !== null)?.retry ?? null,
    timeoutMs: stages.find(({ timeoutMs }) => timeoutMs !== null)?.timeoutMs ?? null,
    heartbeatMs: stages.find(({ heartbeatMs }) => heartbeatMs !== null)?.heartbeatMs ?? null,
  };
  if (stages.some(({ risky }) => risky)) await session.save({ reason: "risk", status: "running", stage: root });
  const { run } = await withAttempts(ports, { stage: named, given: () => null }, async (attempt) => {
    const taken = await takenBranches(attempt, stages, ports);
    if (taken.length > 0) await runFlow(attempt, { root, stages: taken });
  });
  const summaries: Readonly<Record<string, FlowSummary>> = run.flows;
  // Until its last stage is saved, a resumed flow must find its counts again.
  const { records } = run.progress;
  run.work.progress = { stage: root.name, records, total: records, flows: summaries };
  for (const stage of stages) {
    if (session.completed.has(stage.name)) continue;
    const summary = summaries[stage.name];
    const last = stages.every(({ name }) => name === stage.name || session.completed.has(name));
    if (last) run.work.progress = null;
    await complete(ports, {
      run,
      stage,
      value: summary ?? SKIPPED,
      records: summary?.recordsIn ?? 0,
      provenance: { input: summary?.inputDigest ?? null, output: summary?.outputDigest ?? null },
    });
  }
}

/** The stages of a flow through which its records go: decided when it begins, and kept by the counts of those that take part. */
async function takenBranches(
  run: StageRun,
  stages: readonly StageDefinition[],
  { session, outputs }: StagePorts,
): Promise<readonly StageDefinition[]> {
  if (stages.every(({ when }) => when === null)) return stages;
  const begun = session.underWay.get(run.work.owner)?.flows;
  const taken: StageDefinition[] = [];
  for (const stage of stages) {
    const isRoot = stage.type === "read";
    if (!isRoot && !stage.after.some((name) => taken.some((each) => each.name === name))) continue;
    const goes =
      begun === undefined
        ? stage.when === null ||
          ((await stage.when(await outputs.inputOf(stage), run.context(stage) as StageContext<never>)) as boolean)
        : Object.hasOwn(begun, stage.name);
    if (goes) taken.push(stage);
  }
  return taken;
}
