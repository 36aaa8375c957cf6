import type { Samples } from "../measure.ts";
import type { Comparison } from "../report.ts";
import { LARGE_ROWS, LARGE_STAGES, RUNS_AT_ONCE, STAGES_AT_ONCE, type StagesWork } from "../work.ts";
import { rate, rateAgainst } from "./stages-sequential.ts";
import { present, type Engines, type InRounds } from "./suite.ts";

const AT_ONCE: StagesWork = { runs: RUNS_AT_ONCE, stages: STAGES_AT_ONCE };
const LARGE: StagesWork = { stages: LARGE_STAGES, rows: LARGE_ROWS };

/** `stages/at-once`: stages a second of 64 runs in one process. `stages/large`: the same of one run whose outputs have 1 MB each. */
export async function measureManyAndLarge(
  engines: Engines,
  inRounds: (work: string, warmUps: number) => InRounds,
): Promise<readonly Comparison[]> {
  const atOnce = await measureAtOnce(engines, inRounds("stages/at-once", 2));
  const large = await measureWork(LARGE, engines, inRounds("stages/large", 2));
  const [dbos, restate] = ["DBOS (PostgreSQL)", "Restate"];
  return [
    rateAgainst("stages/at-once vs dbos", atOnce, { peer: "dbos", title: dbos, atLeast: 10 }),
    rateAgainst("stages/at-once vs restate", atOnce, { peer: "restate", title: restate, atLeast: 4 }),
    rateAgainst("stages/large vs dbos", large, { peer: "dbos", title: dbos, atLeast: 7 }),
    rateAgainst("stages/large vs restate", large, { peer: "restate", title: restate, atLeast: 2 }),
  ];
}

type Contenders = Partial<Pick<Engines, "dbos" | "restate">> & Pick<Engines, "ours">;

/** Rates of 64 runs of 200 small stages that go on at once in one process. */
export async function measureAtOnce(contenders: Contenders, inRounds: InRounds): Promise<Samples> {
  return await measureWork(AT_ONCE, contenders, inRounds);
}

async function measureWork(
  work: StagesWork,
  { ours, dbos, restate }: Contenders,
  inRounds: InRounds,
): Promise<Samples> {
  const stages = (work.runs ?? 1) * work.stages;
  return await inRounds(
    present([
      { name: "ours", measure: async () => rate((await ours.run(work)).ms, stages) },
      dbos && { name: "dbos", measure: async () => rate(await dbos.run(work), stages) },
      restate && { name: "restate", measure: async () => rate(await restate.run(work), stages) },
    ]),
  );
}
