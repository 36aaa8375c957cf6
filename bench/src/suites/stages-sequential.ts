import { median, timeMs, type Samples } from "../measure.ts";
import type { Comparison } from "../report.ts";
import { STAGES } from "../work.ts";
import { present, type InRounds, type Engines } from "./suite.ts";

const EDGE = 100;

/** `stages/sequential`: stages a second of one run. `stages/flat-cost`: a save's time early and late in our own runs. */
export async function measureSequential(
  { ours, bare, dbos, restate }: Engines,
  inRounds: InRounds,
): Promise<readonly Comparison[]> {
  const early: number[] = [];
  const late: number[] = [];
  const samples = await inRounds(
    present([
      {
        name: "ours",
        measure: async (round) => {
          const { ms, stageMs } = await ours.run({ stages: STAGES });
          early[round] = median(stageMs.slice(0, EDGE));
          late[round] = median(stageMs.slice(-EDGE));
          return rate(ms);
        },
      },
      { name: "bare", measure: async () => rate(await timeMs(() => bare.commit(STAGES))) },
      dbos && { name: "dbos", measure: async () => rate(await dbos.run({ stages: STAGES })) },
      restate && { name: "restate", measure: async () => rate(await restate.run({ stages: STAGES })) },
    ]),
  );
  const against = (peer: string, name: string, atLeast: number): Comparison =>
    rateAgainst(`stages/sequential vs ${peer}`, samples, { peer, title: name, atLeast });
  const measured = (all: readonly number[]) => all.slice(-(samples.get("ours")?.length ?? 0)).map((ms) => ms * 1000);
  return [
    against("bare", "bare commits (SQLite)", 0.5),
    against("dbos", "DBOS (PostgreSQL)", 5),
    against("restate", "Restate", 4),
    {
      work: "stages/flat-cost",
      unit: "us/stage",
      ours: measured(late),
      peers: { [`our stages 1-${EDGE}`]: measured(early) },
      ratioIs: `${STAGES - EDGE + 1}-${STAGES} / 1-${EDGE}`,
      ratioOf: (value, [first = Number.NaN]) => value / first,
      target: "<= 1.25x",
      isMet: (ratio) => ratio <= 1.25,
    },
  ];
}

/** A row that compares rates of stages: more is better. */
export function rateAgainst(
  work: string,
  samples: Samples,
  { peer, title, atLeast }: { readonly peer: string; readonly title: string; readonly atLeast: number },
): Comparison {
  return {
    work,
    unit: "stages/s",
    ours: samples.get("ours") ?? [],
    peers: { [title]: samples.get(peer) ?? "not run" },
    ratioIs: `ours / ${peer}`,
    ratioOf: (value, [other = Number.NaN]) => value / other,
    target: `>= ${atLeast}x`,
    isMet: (ratio) => ratio >= atLeast,
  };
}

/** Stages a second, of all stages that took so long. */
export function rate(ms: number, stages = STAGES): number {
  return stages / (ms / 1000);
}
