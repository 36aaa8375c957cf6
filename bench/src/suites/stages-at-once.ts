import { join } from "node:path";

import { BenchError } from "../bench-error.ts";
import { timeMs, type Samples } from "../measure.ts";
import { openOurs, type Ours, type Sequence } from "../memento.ts";
import type { Comparison } from "../report.ts";
import { expectedSum, LARGE_ROWS, LARGE_STAGES, RUNS_AT_ONCE, STAGES_AT_ONCE, type StagesWork } from "../work.ts";
import { rate, rateAgainst } from "./stages-sequential.ts";
import { present, type InRounds, type Peers } from "./suite.ts";

const AT_ONCE: StagesWork = { runs: RUNS_AT_ONCE, stages: STAGES_AT_ONCE };
const LARGE: StagesWork = { stages: LARGE_STAGES, rows: LARGE_ROWS };

/** `stages/at-once`: stages a second of 64 runs in one process. `stages/large`: the same of one run whose outputs have 1 MB each. */
export async function measureManyAndLarge(
  peers: Peers,
  folder: string,
  inRounds: (work: string, warmUps: number) => InRounds,
): Promise<readonly Comparison[]> {
  await using ours = await openOurs(join(folder, "memento-at-once.db"));
  const atOnce = await measureAtOnce({ ours, ...peers }, inRounds("stages/at-once", 2));
  const large = await measureWork("large", LARGE, { ours, ...peers }, inRounds("stages/large", 2));
  const [dbos, restate] = ["DBOS (PostgreSQL)", "Restate"];
  return [
    rateAgainst("stages/at-once vs dbos", atOnce, { peer: "dbos", title: dbos, atLeast: 10 }),
    rateAgainst("stages/at-once vs restate", atOnce, { peer: "restate", title: restate, atLeast: 4 }),
    rateAgainst("stages/large vs dbos", large, { peer: "dbos", title: dbos, atLeast: 7 }),
    rateAgainst("stages/large vs restate", large, { peer: "restate", title: restate, atLeast: 2 }),
  ];
}

type Contenders = Partial<Pick<Peers, "dbos" | "restate">> & { readonly ours: Ours };

/** Rates of 64 runs of 200 small stages that go on at once in one process. */
export async function measureAtOnce(contenders: Contenders, inRounds: InRounds): Promise<Samples> {
  return await measureWork("at-once", AT_ONCE, contenders, inRounds);
}

async function measureWork(
  name: string,
  work: StagesWork,
  { ours, dbos, restate }: Contenders,
  inRounds: InRounds,
): Promise<Samples> {
  const { runs = 1, stages, rows = 0 } = work;
  const sequence = ours.sequence(stages, { rows });
  return await inRounds(
    present([
      {
        name: "ours",
        measure: async (round) =>
          rate(await timeMs(async () => await runAll(sequence, `${name}-${round}`, work)), runs * stages),
      },
      dbos && { name: "dbos", measure: async () => rate(await dbos.run(work), runs * stages) },
      restate && { name: "restate", measure: async () => rate(await restate.run(work), runs * stages) },
    ]),
  );
}

async function runAll(sequence: Sequence, partition: string, { runs = 1, stages }: StagesWork): Promise<void> {
  const sums = await Promise.all(
    Array.from({ length: runs }, async (_none, index) => await sequence.run(`${partition}-${index}`)),
  );
  for (const sum of sums)
    if (sum !== expectedSum(stages)) throw new BenchError(`ours: the result is ${sum}, not ${expectedSum(stages)}`);
}
