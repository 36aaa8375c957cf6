import { systemClock } from "../../core/ports.ts";
import { keepShape, nothing } from "../../core/shapes.ts";
import { KnownArrays } from "../../vault/piece-capture.ts";
import { TimelineWriter } from "../../vault/timeline-writer.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { RollForward } from "./roll-forward.ts";
import { RunSession } from "./run-session.ts";
import type { PipelineSnapshot } from "./run-state.ts";
import { StageOutputs } from "./stage-outputs.ts";
import { StageRun } from "./stage-run.ts";

const UNTOUCHED: PipelineSnapshot = {
  run: null,
  offsets: new Map(),
  sinks: new Map(),
  participants: new Map(),
  state: {},
  schema: {},
  credentials: {},
  stamps: {},
  sealed: new Map(),
  progress: null,
  underWay: new Map(),
  batches: new Map(),
  restore: null,
  lost: null,
  completed: new Set(),
};

/** See `keepShape`: a run makes its objects anew, and so does each of its stages. Of a run that stood still nothing else would be left. */
export function keepRunShapes(): void {
  const pipeline = definePipeline({ name: "shapes", version: "1", stages: (each) => [each.task("stage", () => null)] });
  const [stage = nothing] = pipeline.stages;
  const session = new RunSession({
    pipeline,
    snapshot: UNTOUCHED,
    vault: { clock: systemClock } as never,
    writer: new TimelineWriter(nothing, 0, null, { arrays: new KnownArrays() } as never),
    lease: nothing,
    resources: nothing,
    run: nothing,
    generation: 0,
    listener: nothing,
    forward: new RollForward({ resources: nothing, run: "", generation: 0, kept: new Map(), ahead: new Map() }),
  });
  const stop = { signal: new AbortController().signal, current: () => null };
  keepShape(new StageOutputs(session));
  keepShape(new StageRun({ session, work: session.begin(stage), stage, stop }));
}
