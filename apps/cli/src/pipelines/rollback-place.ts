import type { Memento, Pipeline } from "@mementojs/memento";

import { loadPipeline, type LoadedPipeline } from "./load-pipeline.ts";
import { pipelineOf } from "./pipeline-of.ts";
import { chooseTimeline, type LivingTimeline } from "./timelines.ts";

/** What a command line says of the timeline that is to go back. */
export interface RollbackHints {
  readonly target: string;
  /** `--timeline`. */
  readonly timeline?: string | undefined;
  /** `--pipeline`. */
  readonly pipeline?: string | undefined;
  readonly cwd: string;
}

/** A timeline, its pipeline's code, and its address as the library takes it. */
export interface RollbackSubject {
  readonly timeline: LivingTimeline;
  readonly pipeline: Pipeline;
  readonly place: { readonly caretaker: string; readonly partition: string; readonly fork: string };
}

/** Finds the timeline that a target is on, and the code of its pipeline. */
export async function rollbackSubject(
  memento: Memento,
  { target, timeline: named, pipeline: file, cwd }: RollbackHints,
): Promise<RollbackSubject> {
  const timeline = await chooseTimeline(memento, { named, target, pipelines: true });
  const { pipeline }: LoadedPipeline =
    file === undefined
      ? await pipelineOf(memento, timeline, { cwd })
      : await loadPipeline(file, cwd, { originator: timeline.record.originator });
  const { caretaker, partition, fork } = timeline.record;
  return { timeline, pipeline, place: { caretaker, partition, fork } };
}
