import type { MementoEntry } from "../../core/memento.ts";

type RunPlace = Pick<MementoEntry, "run" | "version" | "stage" | "stageIndex">;

/** Where in its run a memento stands, for one that stands there too; what it does not have is left out. */
export function runPlace({ run, version, stage, stageIndex }: MementoEntry): RunPlace {
  return {
    ...(run === undefined ? {} : { run }),
    ...(version === undefined ? {} : { version }),
    ...(stage === undefined ? {} : { stage }),
    ...(stageIndex === undefined ? {} : { stageIndex }),
  };
}

/** Besides, how often the run has gone on: for a memento of the same run, to which nothing has happened in between. */
export function sameRunPlace(entry: MementoEntry): RunPlace & Pick<MementoEntry, "resumeCount"> {
  const { resumeCount } = entry;
  return { ...runPlace(entry), ...(resumeCount === undefined ? {} : { resumeCount }) };
}
