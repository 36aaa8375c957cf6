import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { BenchError } from "./bench-error.ts";
import { ask, messageFrom, startChild, stopChild } from "./children.ts";
import type { OursAnswer, OursTask } from "./memento-worker.ts";
import type { Scratch } from "./scratch.ts";
import { expectedSum, type StagesWork } from "./work.ts";

const WORKER = fileURLToPath(new URL("../dist/memento-worker.js", import.meta.url));
const LIMIT_MS = 120_000;

/** Memento at work in a process of its own. */
export interface OursRuns extends AsyncDisposable {
  /** Runs, all at once; milliseconds from the start of the first to the last result, and of each stage where it is one run. */
  run(work: StagesWork): Promise<{ readonly ms: number; readonly stageMs: readonly number[] }>;
}

/** Starts the process, which makes the store at this address: the time is taken inside it, as it is with DBOS. */
export async function startOurs(scratch: Scratch, url: string): Promise<OursRuns> {
  const worker = await startChild({
    name: "Memento worker",
    command: process.execPath,
    args: [WORKER, url],
    logFile: join(scratch.path, "memento.log"),
    talks: "messages",
  });
  await messageFrom(worker, LIMIT_MS);
  let runsSoFar = 0;
  return {
    run: async ({ stages, runs = 1, rows = 0 }) => {
      const partitions = Array.from({ length: runs }, () => `run-${runsSoFar++}`);
      const answer = await ask(worker, { partitions, stages, rows } satisfies OursTask, LIMIT_MS);
      const { ms, sums, stageMs } = answer as OursAnswer;
      for (const sum of sums)
        if (sum !== expectedSum(stages)) throw new BenchError(`ours: the result is ${sum}, not ${expectedSum(stages)}`);
      return { ms, stageMs };
    },
    [Symbol.asyncDispose]: () => stopChild(worker, "SIGTERM"),
  };
}
