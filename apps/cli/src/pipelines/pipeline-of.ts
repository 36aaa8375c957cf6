import { MementoError, PIECE, type Memento, type RunRecord } from "@mementojs/memento";

import { loadPipeline, type LoadedPipeline } from "./load-pipeline.ts";
import type { LivingTimeline } from "./timelines.ts";

/** Where a pipeline's code may be. */
export interface CodePlace {
  /** `--pipeline`; where it is not given, the file that the last run was loaded from. */
  readonly file?: string | undefined;
  readonly cwd: string;
}

/** Loads the code of a timeline's pipeline. PIPELINE_MISSING where nobody knows the file, and what `loadPipeline` raises. */
export async function pipelineOf(
  memento: Memento,
  timeline: LivingTimeline,
  { file, cwd }: CodePlace,
): Promise<LoadedPipeline> {
  const { originator } = timeline.record;
  const known = file ?? (await moduleOf(memento, timeline));
  if (known !== null) return await loadPipeline(known, cwd, { originator });
  throw new MementoError("PIPELINE_MISSING", `The runs of pipeline ${originator} do not say which file it is in`, {
    hint: "Name the file by --pipeline FILE.",
  });
}

/** The file that the last run of a timeline was loaded from; null where it was run by a program of its own. */
export async function moduleOf(memento: Memento, { record }: LivingTimeline): Promise<string | null> {
  const { caretaker, partition, fork } = record;
  for await (const { id, run } of memento.history({ name: record.originator }, { caretaker, partition, fork })) {
    // A reset has no run; the one before it has.
    if (run === undefined) continue;
    const known = (await (await memento.vault.load(id)).value(PIECE.run)) as RunRecord | undefined;
    return known?.module ?? null;
  }
  return null;
}
