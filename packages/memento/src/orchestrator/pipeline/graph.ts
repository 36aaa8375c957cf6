import { MementoError } from "../../core/errors.ts";
import type { StageDefinition } from "./stage.ts";

/**
 * Puts stages into an order in which each comes after those it needs; stages that do not need each other keep the order
 * in which they were declared. Throws INVALID_PIPELINE for doubled names, names of before that may be of several, names of
 * items, unknown stages, cycles, and flows that are not a read stage followed by map and write stages.
 */
export function orderStages(pipeline: string, stages: readonly StageDefinition[]): StageDefinition[] {
  const byName = new Map<string, StageDefinition>();
  for (const stage of stages) {
    if (byName.has(stage.name)) throw invalid(pipeline, `the stage ${stage.name} is declared twice`);
    byName.set(stage.name, stage);
  }
  checkOldNames(pipeline, stages, byName);
  checkItemNames(pipeline, stages);
  for (const stage of stages) checkPredecessors(pipeline, stage, byName);
  return inOrder(pipeline, stages, byName);
}

/** Depth first, and without recursion: a chain of stages may be longer than the stack is deep. */
function inOrder(
  pipeline: string,
  stages: readonly StageDefinition[],
  byName: ReadonlyMap<string, StageDefinition>,
): StageDefinition[] {
  const ordered: StageDefinition[] = [];
  const done = new Set<string>();
  for (const first of stages) {
    /** From the stage asked for to the one that is looked at, each with those before it that are still to be looked at. */
    const path = done.has(first.name) ? [] : [{ stage: first, before: first.after.values() }];
    const onPath = new Set([first.name]);
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      const { done: isLast, value: name } = at.before.next();
      if (isLast === true) {
        path.pop();
        onPath.delete(at.stage.name);
        done.add(at.stage.name);
        ordered.push(at.stage);
        continue;
      }
      const stage = byName.get(name);
      if (stage === undefined || done.has(name)) continue;
      if (onPath.has(name))
        throw invalid(pipeline, `the stages need each other in a cycle: ${cycle([...onPath], name)}`);
      path.push({ stage, before: stage.after.values() });
      onPath.add(name);
    }
  }
  return ordered;
}

const cycle = (path: readonly string[], name: string): string => [...path.slice(path.indexOf(name)), name].join(" -> ");

/** What is done under an old name is done by one stage alone: whose it is must be certain. A stage may have its old name again. */
function checkOldNames(
  pipeline: string,
  stages: readonly StageDefinition[],
  byName: ReadonlyMap<string, StageDefinition>,
): void {
  const owners = new Map<string, string>();
  for (const { name, was } of stages) {
    for (const old of was) {
      if (old === name) continue;
      if (byName.has(old)) throw invalid(pipeline, `the stage ${name} was ${old}, and a stage is called ${old} now`);
      const owner = owners.get(old) ?? name;
      if (owner !== name) throw invalid(pipeline, `the stages ${owner} and ${name} both were ${old}`);
      owners.set(old, name);
    }
  }
}

/** The fourth item of `load` is `load[3]`, as owner of what it writes and keeps: a stage of that name would be taken for it. */
function checkItemNames(pipeline: string, stages: readonly StageDefinition[]): void {
  const lists = new Set(stages.filter(({ type }) => type === "each").map(({ name }) => name));
  for (const { name } of stages) {
    const list = /^(.*)\[\d+\]$/su.exec(name)?.[1];
    if (list !== undefined && lists.has(list))
      throw invalid(pipeline, `the stage ${name} is called like an item of the stage ${list}`);
  }
}

function checkPredecessors(
  pipeline: string,
  stage: StageDefinition,
  byName: ReadonlyMap<string, StageDefinition>,
): void {
  for (const name of stage.after) {
    const before = byName.get(name);
    if (before === undefined) {
      throw invalid(
        pipeline,
        `the stage ${stage.name} comes after ${name}, which is not in the list of stages (${[...byName.keys()].join(", ")})`,
      );
    }
    const flows = stage.type === "map" || stage.type === "write";
    if (flows && before.type !== "read" && before.type !== "map") {
      throw invalid(pipeline, `the stage ${stage.name} takes records, and ${name} gives none`);
    }
  }
}

function invalid(pipeline: string, problem: string): MementoError {
  return new MementoError("INVALID_PIPELINE", `Pipeline ${pipeline}: ${problem}`);
}
