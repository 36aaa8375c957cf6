import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { BenchError } from "../bench-error.ts";
import { goneBy, lineFrom, startChild, type Child } from "../children.ts";
import { timeMs } from "../measure.ts";
import type { Comparison, Figures } from "../report.ts";
import { STAGES, verifyRecovery } from "../work.ts";
import { present, type InRounds, type Engines } from "./suite.ts";

const WORKER = fileURLToPath(new URL("../../dist/recovery-worker.js", import.meta.url));
const BARE_NODE = fileURLToPath(new URL("../../dist/bare-node.js", import.meta.url));
const LIMIT_MS = 120_000;
const TARGET_S = 0.25;
const TARGET_VS_BARE = 1.5;

interface Places {
  /** Where our store is, beside the bare one. */
  readonly folder: string;
  readonly logFolder: string;
}

/**
 * `stages/recovery`: seconds from the spawn of the process that takes over to the completed result, after a SIGKILL
 * inside stage 500 of 1,000. The bare figure is what nobody can get below: a Node process that starts and says so, plus
 * the 500 commits that remain.
 */
export async function measureRecovery(
  { bare, dbos, restate }: Engines,
  places: Places,
  inRounds: InRounds,
): Promise<readonly Comparison[]> {
  const samples = await inRounds(
    present([
      { name: "ours", measure: async (round) => seconds(await recoverOurs(places, `recovery-${round}`)) },
      {
        name: "bare",
        measure: async () => seconds((await startNode(places)) + (await timeMs(() => bare.commit(STAGES / 2)))),
      },
      dbos && { name: "dbos", measure: async () => seconds(await dbos.recover(STAGES)) },
      restate && { name: "restate", measure: async () => seconds(await restate.recover(STAGES)) },
    ]),
  );
  const figures = (name: string): Figures => samples.get(name) ?? "not run";
  const ours = samples.get("ours") ?? [];
  return [
    {
      work: "stages/recovery vs bare",
      unit: "s",
      ours,
      peers: { "node start + 500 bare commits": figures("bare") },
      ratioIs: "ours / bare",
      ratioOf: (value, [floor = Number.NaN]) => value / floor,
      target: `<= ${TARGET_S} s or <= ${TARGET_VS_BARE}x`,
      isMet: (ratio, value) => value <= TARGET_S || ratio <= TARGET_VS_BARE,
    },
    {
      work: "stages/recovery vs peers",
      unit: "s",
      ours,
      peers: { "DBOS (worker killed)": figures("dbos"), "Restate (server killed)": figures("restate") },
      ratioIs: "better peer / ours",
      ratioOf: (value, others) => Math.min(...others) / value,
      target: ">= 6x",
      isMet: (ratio) => ratio >= 6,
    },
  ];
}

async function recoverOurs(places: Places, partition: string): Promise<number> {
  const killed = await startOurs(places, "start", partition);
  const ending = await goneBy(killed, LIMIT_MS);
  if (ending !== "SIGKILL") throw new BenchError(`ours: the first worker ended with ${ending}: ${killed.lastWords()}`);
  const start = performance.now();
  const second = await startOurs(places, "recover", partition);
  const line = await lineFrom(second, LIMIT_MS);
  const ms = performance.now() - start;
  await goneBy(second, LIMIT_MS);
  verifyRecovery("ours", line, STAGES);
  return ms;
}

function startOurs({ folder, logFolder }: Places, mode: "start" | "recover", partition: string): Promise<Child> {
  const args = [WORKER, mode, join(folder, "recovery.db"), partition, String(STAGES)];
  return startChild({
    name: `our worker (${mode})`,
    command: process.execPath,
    args,
    logFile: join(logFolder, "ours.log"),
    talks: "lines",
  });
}

async function startNode({ logFolder }: Places): Promise<number> {
  const start = performance.now();
  const child = await startChild({
    name: "bare node",
    command: process.execPath,
    args: [BARE_NODE],
    logFile: join(logFolder, "bare-node.log"),
    talks: "lines",
  });
  await lineFrom(child, LIMIT_MS);
  const ms = performance.now() - start;
  await goneBy(child, LIMIT_MS);
  return ms;
}

function seconds(ms: number): number {
  return ms / 1000;
}
