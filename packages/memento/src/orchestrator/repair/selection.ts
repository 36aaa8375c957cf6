import { MementoError } from "../../core/errors.ts";
import type { PieceRef } from "../../vault/directory.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import type { StageDefinition } from "../pipeline/stage.ts";
import { flowSegment } from "../run/flow-run.ts";
import { isOfStage } from "../run/kept-pieces.ts";
import { PIECE } from "../run/run-state.ts";
import { STATE_ITEM, type SchemaStamps } from "../schemas/pipeline-schemas.ts";
import { fullName, itemsNamed } from "./force.ts";
import type { Participant } from "./participants/participant.ts";

/** The item that stands for the whole state. */
const STATE = "state";

/**
 * The chosen items by their full names, sorted: `sink:orders`, or `orders` where no other item has that name. A stage brings
 * all stages with it that depend on it, and the whole of its flow; a pipeline inside this one all of its own. INVALID_ARGUMENT
 * for a name that none or several have.
 */
export function chosenItems(
  pipeline: Pipeline,
  participants: readonly Participant[],
  only: readonly string[],
): readonly string[] {
  if (only.length === 0) throw new MementoError("INVALID_ARGUMENT", "No item is chosen");
  const items = [
    ...participants.filter(({ kind }) => kind !== "credential" && kind !== "stage"),
    ...pipeline.stages.map(({ name }) => ({ kind: "stage", name })),
  ];
  const chosen = only.map((text) => {
    if (text === STATE) return text;
    const fitting = itemsNamed(items, text).map((item) => fullName(item));
    const [item] = fitting;
    if (item !== undefined && fitting.length === 1) return item;
    const list = (fitting.length > 0 ? fitting : [...items.map((each) => fullName(each)), STATE]).join(", ");
    const problem = fitting.length > 0 ? "may be any of" : "is no item; there are";
    throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(text)} ${problem} ${list}`);
  });
  const stages = stagesOf(chosen);
  const inner = pipeline.stages.filter(({ scope }) => [...stages].some((name) => scope?.prefix.startsWith(`${name}.`)));
  for (const { name } of inner) stages.add(name);
  const again = stages.size === 0 ? [] : [...dependents(pipeline, stages)].map((name) => `stage:${name}`);
  return [...new Set([...chosen, ...again])].toSorted();
}

/** The names of the chosen stages. */
export function stagesOf(only: readonly string[]): Set<string> {
  return new Set(only.filter((item) => item.startsWith("stage:")).map((item) => item.slice("stage:".length)));
}

/** True when a participant takes part in a restore of these items alone. Credentials always do, and stages that are undone by their own names. */
export function isChosen({ kind, name, key }: Participant, only: readonly string[] | null): boolean {
  if (only === null || kind === "credential") return true;
  return only.includes(kind === "stage" ? `stage:${name}` : key);
}

/** These stages, all that come after them, and the other stages of their flows. */
function dependents({ stages }: Pipeline, names: ReadonlySet<string>): ReadonlySet<string> {
  const again = new Set(names);
  let before = -1;
  while (again.size > before) {
    before = again.size;
    for (const stage of stages) {
      if (stage.after.some((name) => again.has(name))) again.add(stage.name);
      if (stage.type !== "read") continue;
      const flow = flowSegment(stage, stages).stages;
      if (flow.some(({ name }) => again.has(name))) for (const { name } of flow) again.add(name);
    }
  }
  return again;
}

/** What a restore of chosen items changes of the head besides the marks that participants give. */
export interface ChosenPieces {
  /** Taken from the target as they are there. */
  readonly refs: ReadonlyMap<string, PieceRef>;
  readonly drop: readonly string[];
}

/** The pieces that a restore of chosen items takes from the target, and drops from the head. */
export function chosenPieces(
  pipeline: Pipeline,
  { head, target }: { readonly head: OpenedMemento; readonly target: OpenedMemento },
  only: readonly string[],
): ChosenPieces {
  const stages = keptNames(pipeline, only);
  const refs = new Map<string, PieceRef>();
  for (const key of target.keys()) {
    const ref = target.directory.get(key);
    if (ref !== undefined && isTaken(key, only)) refs.set(key, ref);
  }
  const drop = head.keys().filter((key) => (isTaken(key, only) && !refs.has(key)) || isOfAny(key, stages));
  // As earlier releases keep it: one stage under way.
  if (stages.size > 0 && head.has(PIECE.progress)) drop.push(PIECE.progress);
  return { refs, drop: [...drop, PIECE.restore] };
}

/** The versions that values have after a restore of chosen items: what is taken from the target has the one that it was saved under. */
export function chosenStamps(
  pipeline: Pipeline,
  { head, target }: { readonly head: SchemaStamps; readonly target: SchemaStamps },
  only: readonly string[],
): SchemaStamps {
  const stages = keptNames(pipeline, only);
  const comes = (item: string): boolean => isTaken(item === STATE_ITEM ? PIECE.state : item, only);
  return Object.fromEntries([
    ...Object.entries(head).filter(([item]) => !comes(item) && !isOfAny(item, stages)),
    ...Object.entries(target).filter(([item]) => comes(item)),
  ]);
}

/** The names under which the chosen stages may have kept what is theirs. */
function keptNames({ stages }: Pipeline, only: readonly string[]): ReadonlySet<string> {
  const chosen = stagesOf(only);
  return new Set([...chosen, ...stages.filter(({ name }) => chosen.has(name)).flatMap(({ was }) => was)]);
}

/** True for a piece that is the target's after a restore of chosen items. */
function isTaken(key: string, only: readonly string[]): boolean {
  if (key.startsWith(PIECE.state)) return only.includes(STATE);
  return key.startsWith(PIECE.offsets) && only.includes(`source:${key.slice(PIECE.offsets.length)}`);
}

const isOfAny = (key: string, stages: ReadonlySet<string>): boolean =>
  [...stages].some((stage) => isOfStage(key, stage));

/** What a person should know before these items alone go back: where offsets and data will no longer describe the same moment. */
export function selectionWarnings(
  pipeline: Pipeline,
  participants: readonly Participant[],
  only: readonly string[],
): readonly string[] {
  const all = (kind: string): string[] => participants.filter((part) => part.kind === kind).map(({ name }) => name);
  const [sinks, sources] = [all("sink"), all("source")];
  const stays = (kind: string, name: string): boolean => !only.includes(`${kind}:${name}`);
  const [sinksStay, sourcesStay] = [
    sinks.filter((name) => stays("sink", name)),
    sources.filter((name) => stays("source", name)),
  ];
  const warnings: string[] = [];
  for (const sink of sinks.filter((name) => !stays("sink", name))) {
    const behind = sourcesStay.filter((name) => sourcesOf(pipeline, sink, sources).has(name));
    if (behind.length > 0)
      warnings.push(
        `sink ${sink} goes back and ${named("source", behind)} not: records that were read since the target are not read again for it`,
      );
  }
  for (const source of sources.filter((name) => !stays("source", name))) {
    const ahead = sinksStay.filter((name) => sourcesOf(pipeline, name, sources).has(source));
    if (ahead.length > 0)
      warnings.push(
        `source ${source} goes back and ${named("sink", ahead)} not: records that are read again are written again`,
      );
  }
  const again = pipeline.stages.filter(({ name }) => !stays("stage", name));
  warnings.push(...stageWarnings(again, sinksStay, sourcesStay));
  if (again.length === 0 && !only.includes(STATE))
    warnings.push("the state and the outputs of stages stay as they are at the head");
  return warnings;
}

function stageWarnings(
  again: readonly StageDefinition[],
  sinksStay: readonly string[],
  sourcesStay: readonly string[],
): string[] {
  const warnings: string[] = [];
  for (const stage of again) {
    if (stage.type === "read" && sourcesStay.includes(stage.source))
      warnings.push(
        `stage ${stage.name} runs again and source ${stage.source} does not go back: it reads on from where it stands`,
      );
    if (stage.type === "write" && sinksStay.includes(stage.sink))
      warnings.push(
        `stage ${stage.name} runs again and sink ${stage.sink} does not go back: what it writes comes to what is there`,
      );
  }
  const tasks = again.filter(({ type }) => type === "task" || type === "each").map(({ name }) => name);
  if (tasks.length > 0 && sinksStay.length > 0)
    warnings.push(
      `${named("stage", tasks)} ${tasks.length === 1 ? "runs" : "run"} again, and ${named("sink", sinksStay)} not going back, what is written there is written again`,
    );
  return warnings;
}

/** The sources whose records reach a sink: those of the flows that end in it; all, where stages of one's own may read and write anything. */
function sourcesOf({ stages }: Pipeline, sink: string, sources: readonly string[]): ReadonlySet<string> {
  if (stages.some(({ type }) => type === "task" || type === "each")) return new Set(sources);
  const feeding = stages.flatMap((stage) => {
    const ends = stage.type === "read" ? flowSegment(stage, stages).stages : [];
    return stage.type === "read" && ends.some((end) => isInto(end, sink)) ? [stage.source] : [];
  });
  return new Set(feeding);
}

function isInto(stage: StageDefinition, sink: string): boolean {
  return (stage.type === "write" && stage.sink === sink) || (stage.type === "map" && stage.quarantine === sink);
}

function named(kind: string, names: readonly string[]): string {
  return names.length === 1 ? `${kind} ${names[0]}` : `${kind}s ${names.join(", ")}`;
}
