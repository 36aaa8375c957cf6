import type { CheckpointPolicy, StageContext, StageDefinition } from "../pipeline/stage.ts";
import { withAttempts, type Attempted, type StagePorts } from "./attempts.ts";
import type { StageInput } from "./stage-outputs.ts";
import type { StageRun } from "./stage-run.ts";

/** Stands for the output of a stage whose `when` said no. */
export const SKIPPED = Symbol("skipped");

/** A stage that has come to its end. */
export interface StageEnd {
  readonly run: StageRun;
  readonly stage: StageDefinition;
  /** Its output; `SKIPPED` where it was passed over. */
  readonly value: unknown;
  readonly records: number;
  readonly provenance: Readonly<Record<string, string | null>>;
  /** Pieces of the stage that nobody needs any more. */
  readonly drop?: readonly string[];
}

/** Marks a stage as done, by a memento where the policy wants one. */
export async function complete(ports: StagePorts, end: StageEnd): Promise<void> {
  const { session, outputs } = ports;
  const { run, stage, records, provenance } = end;
  const { stages } = session.pipeline;
  const skipped = end.value === SKIPPED;
  const value = skipped ? undefined : end.value;
  const isLast = (): boolean => session.remaining.size === 1 && session.remaining.has(stage.name);
  outputs.set(stage.name, value);
  session.forward.catchUp(session, run.work);
  const drop = [...session.keptBy(run.work.owner), ...(end.drop ?? [])];
  if (isLast() || wantsMemento(stage.checkpoint ?? session.pipeline.checkpoint)) {
    await session.save({
      reason: "stage",
      status: () => (isLast() ? "completed" : "running"),
      stage,
      work: run.work,
      output: { value },
      drop,
      fields: skipped ? { skipped: true } : { provenance },
    });
  } else {
    for (const key of drop) run.work.drop(key);
    session.keep(run.work, stage, value);
  }
  const position = { stage: stage.name, index: session.indexOf(stage), of: stages.length };
  if (skipped) session.emit({ type: "stage-skipped", ...position });
  else session.emit({ type: "stage-completed", ...position, records, reads: stage.type === "read" });
}

const wantsMemento = (policy: CheckpointPolicy): boolean => policy !== "manual" && policy !== "off";

/** Asks a stage's `when`, as an attempt of its own; one that has begun is not asked again. */
export async function askWhen(ports: StagePorts, stage: StageDefinition, begun: boolean): Promise<Attempted<boolean>> {
  const { when } = stage;
  const asked = when !== null && !begun;
  const given = async (): Promise<StageInput> => (asked ? await ports.outputs.inputOf(stage) : {});
  return await withAttempts(ports, { stage, given }, async (run, input) =>
    asked ? Boolean(await when(input, run.context() as StageContext<never>)) : true,
  );
}
