import { MementoError } from "../../core/errors.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { flowSegment } from "../run/flow-run.ts";
import type { PipelineSnapshot } from "../run/run-state.ts";

/** A stage that is done under its old name. */
export interface RenamedStage {
  readonly from: string;
  readonly to: string;
}

/** The names of a stage, the present one first. */
export const namesOf = ({ name, was }: Pick<StageDefinition, "name" | "was">): readonly string[] => [name, ...was];

/** How an unfinished run fits a pipeline whose stages have changed since. */
export interface ShapeChange {
  readonly renamed: readonly RenamedStage[];
  /** Why it cannot go on, a sentence each; empty where it can. */
  readonly problems: readonly string[];
}

/**
 * Compares an unfinished run with the stages that the code has now. Stages may come, go and be renamed (`was`) as long as what
 * is done stays right: nothing that is done may come after a stage that is not, and what is under way must still be there as it was.
 */
export function shapeChange(
  pipeline: Pipeline,
  snapshot: Pick<PipelineSnapshot, "completed" | "underWay">,
  /** The names of stages that go over a list, and have kept it: some of its items may be done. */
  lists: readonly string[],
): ShapeChange {
  const { stages } = pipeline;
  const names = new Set(stages.map(({ name }) => name));
  const renamed: RenamedStage[] = [];
  const problems: string[] = [];
  const done = new Set(snapshot.completed);
  for (const { name, was } of stages) {
    for (const from of was) {
      if (names.has(from) || done.has(name)) continue;
      if (isUnderWay(snapshot, from))
        problems.push(`stage ${from} was under way, and is called ${name} now; it can be renamed once it is done`);
      else if (done.delete(from)) {
        done.add(name);
        renamed.push({ from, to: name });
      }
    }
  }
  const renamedFrom = new Set(stages.flatMap(({ was }) => was));
  for (const [owner, { stage, flows }] of snapshot.underWay) {
    if (renamedFrom.has(stage) && !names.has(stage)) continue;
    const found = stages.find(({ name }) => name === stage);
    if (found === undefined) problems.push(`stage ${owner} was under way, and the pipeline has it no more`);
    else problems.push(...flowProblems(found, flows, stages));
    if (found !== undefined && found.type !== "each" && lists.includes(stage))
      problems.push(`stage ${stage} was a list under way, and is none now`);
  }
  for (const stage of stages) {
    if (!done.has(stage.name)) continue;
    for (const before of stage.after)
      if (!done.has(before)) problems.push(`stage ${stage.name} is done, and now comes after ${before}, which is not`);
  }
  return { renamed, problems };
}

/** PIPELINE_CHANGED with all problems, unless there are none. */
export function demandShape(pipeline: Pipeline, run: string, { problems }: ShapeChange): void {
  if (problems.length === 0) return;
  throw new MementoError(
    "PIPELINE_CHANGED",
    `Run ${run} cannot go on with pipeline ${pipeline.name} as it is now: ${problems.join("; ")}`,
    { details: { run, problems } },
  );
}

function isUnderWay({ underWay }: Pick<PipelineSnapshot, "underWay">, stage: string): boolean {
  for (const record of underWay.values()) if (record.stage === stage || Object.hasOwn(record.flows, stage)) return true;
  return false;
}

/** Records that have passed a flow did so through the stages that it had then. */
function flowProblems(
  stage: StageDefinition,
  flows: Readonly<Record<string, unknown>>,
  stages: readonly StageDefinition[],
): string[] {
  const then = Object.keys(flows);
  if (stage.type !== "read")
    return then.length === 0 ? [] : [`stage ${stage.name} was a flow under way, and is none now`];
  const segment = flowSegment(stage, stages).stages;
  const now = new Set(segment.map(({ name }) => name));
  const gone = then.filter((name) => !now.has(name));
  const mayBePassedOver = new Set<string>();
  for (const { name, when, after } of segment)
    if (when !== null || after.some((before) => mayBePassedOver.has(before))) mayBePassedOver.add(name);
  // What a `when` has passed over, with all behind it, took no part either: it stays so until the flow's end.
  const added = [...now].filter((name) => !then.includes(name) && !mayBePassedOver.has(name));
  return [
    ...gone.map((name) => `the flow of ${stage.name} was under way with stage ${name}, which it has no more`),
    ...(then.length === 0 ? [] : added).map((name) => `the flow of ${stage.name} was under way without stage ${name}`),
  ];
}
