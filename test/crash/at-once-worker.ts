import { appendFileSync } from "node:fs";
import process from "node:process";

import { definePipeline, Memento, type Stage } from "@mementojs/memento";

/** Many runs at once in one process; one JSON text as its only argument. */
export interface AtOnceTask {
  readonly folder: string;
  readonly runs: number;
  readonly stages: number;
  /** Dies by SIGKILL inside the stage that is the so-maniest that this process does; null: lives. */
  readonly kill: number | null;
}

const { folder, runs, stages, kill } = JSON.parse(process.argv[2] ?? "{}") as AtOnceTask;
let done = 0;

/** Each stage adds its number, and writes into the ledger of its run that it was there. */
function chain(run: number): ReturnType<typeof definePipeline> {
  return definePipeline({
    name: "at-once",
    version: "1",
    stages: (stage) => {
      const all: Stage<number>[] = [];
      for (let number = 0; number < stages; number++) {
        const add = (sum: number): number => {
          done += 1;
          if (done === kill) process.kill(process.pid, "SIGKILL");
          appendFileSync(`${folder}/ledger-${run}`, `${number}\n`);
          return sum + number;
        };
        const before = all.at(-1);
        all.push(
          before === undefined
            ? stage.task(`stage-${number}`, () => add(0))
            : stage.task(`stage-${number}`, { after: { before } }, (_context, input) => add(input.before)),
        );
      }
      return all;
    },
  });
}

await using memento = await Memento.open(`sqlite:${folder}/store.db`);
const sums = await Promise.all(
  Array.from({ length: runs }, async (_, run) => {
    const result = await memento.run(chain(run), { partition: `run-${run}`, key: "once" });
    return await result.output(`stage-${stages - 1}`);
  }),
);
process.stdout.write(`${JSON.stringify(sums)}\n`);
