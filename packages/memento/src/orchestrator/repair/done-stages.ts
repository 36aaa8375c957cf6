import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { TaskStage } from "../pipeline/stage.ts";
import { PIECE, type RunRecord } from "../run/run-state.ts";
import { outputWay, readOutput, schemasOf, type SchemaStamps } from "../schemas/pipeline-schemas.ts";
import { namesOf } from "../schemas/shape.ts";
import { holds, lastShared, lineOf, type LineSegment } from "./lineage.ts";
import type { DoneStage } from "./participants/undo-participant.ts";

type UndoableStage = TaskStage & { readonly undo: NonNullable<TaskStage["undo"]> };

interface UndoableStages {
  readonly pipeline: Pipeline;
  readonly stages: readonly UndoableStage[];
}

/**
 * The stages with an `undo` that are done on the line of one memento and not on that of another, in the order in which they
 * are to be undone: last done, first undone. What is done at the target alone comes first, and cannot be had by undoing.
 * Nothing is looked at unless the pipeline has such a stage.
 */
export async function doneStages(
  vault: Vault,
  pipeline: Pipeline,
  head: OpenedMemento,
  target: OpenedMemento | null,
): Promise<DoneStage[]> {
  const stages = undoable(pipeline);
  if (stages.length === 0) return [];
  const now = await lineOf(vault, head.entry);
  const then = target === null ? [] : await lineOf(vault, target.entry);
  const shared = lastShared(now, then);
  const undoables = { pipeline, stages };
  const done = await doneOn(vault, undoables, now, { head, shared });
  const wanted =
    target === null ? new Map<string, DoneStage>() : await doneOn(vault, undoables, then, { head: target, shared });
  const missing = [...wanted].filter(([key]) => !done.has(key)).map(([, found]) => ({ ...found, problem: UNDONE }));
  const toUndo = [...done].filter(([key]) => !wanted.has(key)).map(([, found]) => found);
  return [...missing, ...toUndo];
}

const UNDONE = "it was undone, and cannot be done by a restore";
const FORGOTTEN =
  "the last memento of its run was removed and its space freed, so that it may be done and nobody can tell";

/** The stages of a pipeline that can be undone, last first. */
function undoable(pipeline: Pipeline): UndoableStage[] {
  return pipeline.stages
    .filter((stage): stage is UndoableStage => stage.type === "task" && stage.undo !== null)
    .toReversed();
}

/** What is done from the last shared memento on, or may be, by run and stage, newest run first. */
async function doneOn(
  vault: Vault,
  undoables: UndoableStages,
  line: readonly LineSegment[],
  { head, shared }: { readonly head: OpenedMemento; readonly shared: number },
): Promise<Map<string, DoneStage>> {
  const done = new Map<string, DoneStage>();
  for (const [run, entry] of await lastOfRuns(vault, line, head.entry, shared)) {
    const memento = entry.id === head.entry.id ? head : await loadKept(vault, entry.id);
    const ofRun =
      memento === null
        ? undoables.stages.map((stage) => ({ stage, run, problem: FORGOTTEN, given: null }))
        : await doneAt(vault, memento, undoables);
    for (const found of ofRun) done.set(`${run} ${found.stage.name}`, found);
  }
  return done;
}

/** A memento that lives, or was removed and can still be read; null once its space was freed, or it was given up. */
async function loadKept(vault: Vault, id: string): Promise<OpenedMemento | null> {
  try {
    return await vault.load(id);
  } catch (error) {
    if (isMementoError(error, "NOT_FOUND")) return null;
    if (isMementoError(error, "DAMAGED") && (await vault.store.read(id))?.removed === true) return null;
    throw error;
  }
}

/** The chosen stages that are done in the run of a memento, last first: they are to run again, and so are undone. */
export async function doneOfRun(
  vault: Vault,
  pipeline: Pipeline,
  head: OpenedMemento,
  names: ReadonlySet<string>,
): Promise<DoneStage[]> {
  const stages = undoable(pipeline).filter(({ name }) => names.has(name));
  return await doneAt(vault, head, { pipeline, stages });
}

async function doneAt(
  vault: Vault,
  memento: OpenedMemento,
  { pipeline, stages }: UndoableStages,
): Promise<DoneStage[]> {
  const run = stages.length === 0 ? undefined : ((await memento.value(PIECE.run)) as RunRecord | undefined);
  if (run === undefined) return [];
  const stamps = ((await memento.value(PIECE.schemas)) ?? {}) as SchemaStamps;
  const schemas = schemasOf(pipeline);
  const found: DoneStage[] = [];
  for (const stage of stages) {
    const kept = namesOf(stage).find((name) => memento.has(PIECE.output + name));
    if (kept === undefined || (await wasSkipped(vault, memento, run, { stage, kept }))) continue;
    const place = { stage: stage.name, kept };
    const output = async (): Promise<unknown> => await readOutput(schemas, stamps, place, memento);
    found.push({ stage, run: run.id, problem: outputProblem(schemas, stamps, place), given: { run, output } });
  }
  return found;
}

/** Why the code cannot read an output, by which a stage is to be undone; empty where it has a way. */
function outputProblem(...read: Parameters<typeof outputWay>): string {
  try {
    outputWay(...read);
    return "";
  } catch (error) {
    if (!isMementoError(error, "SCHEMA_UNREADABLE")) throw error;
    return error.message;
  }
}

/** True for a stage that its `when` has skipped: it has an output, and did nothing. */
async function wasSkipped(
  vault: Vault,
  memento: OpenedMemento,
  run: RunRecord,
  { stage, kept }: { readonly stage: TaskStage; readonly kept: string },
): Promise<boolean> {
  if (stage.when === null || (await memento.value(PIECE.output + kept)) !== undefined) return false;
  const { timeline } = memento.entry;
  for (const name of namesOf(stage)) {
    const ends = mementoQuery({ timeline, run: run.id, stage: name, reason: "stage", limit: 1 });
    for await (const { entry } of vault.store.query(ends))
      return (await vault.load(entry.id)).fields()["skipped"] === true;
  }
  // No memento was taken at its end: it gave nothing, and so has nothing by which to undo it.
  return true;
}

/** The newest memento of each run on a line, from the last shared one on: it has the outputs of all that the run has done. */
async function lastOfRuns(
  vault: Vault,
  line: readonly LineSegment[],
  head: MementoEntry,
  shared: number,
): Promise<Map<string, MementoEntry>> {
  const runs = new Map<string, MementoEntry>();
  for await (const { entry } of vault.store.query(mementoQuery({ timeline: head.timeline, removed: true }))) {
    if (entry.sequence > head.sequence || !holds(line, entry.sequence)) continue;
    if (entry.sequence < shared) break;
    if (entry.run !== undefined && !runs.has(entry.run)) runs.set(entry.run, entry);
  }
  return runs;
}
