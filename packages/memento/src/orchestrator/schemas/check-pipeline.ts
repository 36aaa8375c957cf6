import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { TimelineHead } from "../../core/timeline.ts";
import { mementoQuery } from "../../store/query.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { PIECE, readSnapshot, type PipelineSnapshot } from "../run/run-state.ts";
import { pipelineAddress } from "../run/runner.ts";
import { adaptationOf, isUnfinished, shapeOf, statusBehind } from "./adapt.ts";
import { outputWay, readOutput, schemasOf } from "./pipeline-schemas.ts";
import type { RenamedStage } from "./shape.ts";

/** Which mementos of a pipeline are looked at. */
export interface CheckOptions {
  readonly caretaker?: string;
  readonly signal?: AbortSignal;
  /** Told after each memento. */
  readonly onProgress?: (checked: number) => void;
}

/** A memento that the code cannot go on from. */
export interface UnreadableMemento {
  readonly entry: MementoEntry;
  /** The timeline as people name it: its partition and fork, empty for none. */
  readonly partition: string;
  readonly fork: string;
  /** True: the next run starts from it: the newest of its timeline, or what a restore goes back to that stands there unfinished. */
  readonly isHead: boolean;
  readonly problems: readonly string[];
}

/** Whether code can restore what a store holds of its pipeline. */
export interface PipelineCheck {
  readonly pipeline: string;
  readonly version: string;
  /** Live mementos that were read. */
  readonly mementos: number;
  readonly timelines: number;
  /** How many need a cast or a new name of a stage to be gone on from. */
  readonly adapted: number;
  readonly unreadable: readonly UnreadableMemento[];
}

/**
 * Reads every live memento of a pipeline as the code would when it is restored: each cast of state, offsets and outputs is really
 * made, and the stages of an unfinished run must fit. Changes nothing. DAMAGED, and what the store raises.
 */
export async function checkPipeline(
  vault: Vault,
  pipeline: Pipeline,
  options: CheckOptions = {},
): Promise<PipelineCheck> {
  const { caretaker, originator } = pipelineAddress(pipeline, options);
  const unreadable: UnreadableMemento[] = [];
  let [mementos, timelines, adapted] = [0, 0, 0];
  for await (const { record, head } of vault.store.timelines(caretaker)) {
    if (record.originator !== originator || record.kind !== "pipeline") continue;
    timelines += 1;
    const start = await startOf(vault, head);
    for await (const { entry } of vault.store.query(mementoQuery({ timeline: record.key, order: "ascending" }))) {
      options.signal?.throwIfAborted();
      const found = await vault.readLive(entry.id, async (memento) => await lookAt(pipeline, memento));
      if (found === null) continue;
      const { problems, changes } = found;
      const { partition, fork } = record;
      if (problems.length > 0) unreadable.push({ entry, partition, fork, isHead: entry.id === start, problems });
      else if (changes > 0) adapted += 1;
      mementos += 1;
      options.onProgress?.(mementos);
    }
  }
  return { pipeline: pipeline.name, version: pipeline.version, mementos, timelines, adapted, unreadable };
}

async function lookAt(
  pipeline: Pipeline,
  memento: OpenedMemento,
): Promise<{ readonly problems: readonly string[]; readonly changes: number }> {
  const problems: string[] = [];
  let changes = 0;
  const attempt = async (work: () => Promise<number>): Promise<void> => {
    try {
      changes += await work();
    } catch (error) {
      if (!isMementoError(error, "SCHEMA_UNREADABLE") && !isMementoError(error, "PIPELINE_CHANGED")) throw error;
      problems.push(error.message);
    }
  };
  const snapshot = await readSnapshot(memento);
  const goesOn = isUnfinished(statusBehind(memento.entry, snapshot));
  const renamed = goesOn ? shapeOf(pipeline, memento, snapshot).renamed : [];
  await attempt(async () => (await adaptationOf(pipeline, memento, snapshot, goesOn)).changes.length);
  await eachOutput({ pipeline, memento, snapshot, renamed }, async (read) => await attempt(read));
  return { problems, changes };
}

/** The memento that the next run starts from. Where a restore stands unfinished it finishes that first, and has what that goes back to. */
async function startOf(vault: Vault, head: TimelineHead | null): Promise<string | null> {
  if (head === null) return null;
  return await vault.readLive(head.id, async (memento) => {
    const restore = memento.entry.status === "reverting" ? (await readSnapshot(memento)).restore : null;
    return restore === null || restore.only !== undefined ? head.id : (restore.content ?? restore.target);
  });
}

interface OutputsInput {
  readonly pipeline: Pipeline;
  readonly memento: OpenedMemento;
  readonly snapshot: PipelineSnapshot;
  /** Stages whose outputs will have other names. */
  readonly renamed: readonly RenamedStage[];
}

/** The output of every stage that the code has, read one by one: each may have a problem of its own. */
async function eachOutput(
  { pipeline, memento, snapshot, renamed }: OutputsInput,
  look: (read: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const schemas = schemasOf(pipeline);
  const oldNames = new Map(renamed.map(({ from, to }) => [to, from]));
  for (const { name } of pipeline.stages) {
    const place = { stage: name, kept: oldNames.get(name) ?? name };
    if (!memento.has(PIECE.output + place.kept)) continue;
    await look(async () => {
      if (outputWay(schemas, snapshot.stamps, place) === "same") return 0;
      await readOutput(schemas, snapshot.stamps, place, memento);
      return 1;
    });
  }
}
