/**
 * The campaign that every sink goes through on its real engine. A round: a pipeline that loads records is killed by SIGKILL
 * at a random moment and resumed, then rolled back to a random memento and run to its end; in every third round the rollback is
 * killed too. Afterwards the place holds what an uninterrupted run leaves, no more and no less.
 *
 * A sink joins by a test file beside this one that calls `testCampaign` with what it gives to the sink kit: its places and its
 * worker module. `MEMENTO_SINK_RUNS` says how many rounds.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { SeededRandom } from "../../../packages/memento/src/testing/seeded-random.ts";
import type { KitRow, SinkPlace } from "../../../packages/memento/src/testing/sink/kit.ts";
import { extent } from "../../harness/extent.ts";
import { campaignRow, campaignRows } from "./campaign-row.ts";
import type { CampaignReport, CampaignTask } from "./campaign-worker.ts";

/** A sink in the campaign. */
export interface CampaignOptions {
  readonly name: string;
  /** What a batch does with an `id` that is there already. */
  readonly mode: "append" | "upsert";
  readonly place: () => Promise<SinkPlace>;
  /** The sink kit's worker module: it exports `kitSink(address, step)`. */
  readonly workerModule: URL;
  /** True: what was written cannot be taken back. After a rollback the plan must name as many records as stay. */
  readonly stays?: boolean;
}

const ROUNDS = extent({ plain: 3, all: 10, variable: "MEMENTO_SINK_RUNS" });
const RECORDS = 200;
/** The task after the flow writes two more. */
const WRITTEN = RECORDS + 2;
const PROCESS_MS_MAX = 120_000;
const workerPath = fileURLToPath(new URL("campaign-worker.ts", import.meta.url));

/** Declares the campaign of one sink. */
export function testCampaign(options: CampaignOptions): void {
  describe(`P10 ${options.name}`, () => {
    test(
      `${ROUNDS} runs, each killed, resumed, rolled back and run to the end, leave what an uninterrupted run leaves`,
      async () => {
        const random = new SeededRandom(Number(process.env["MEMENTO_SEED"] ?? 7));
        let durationMs = await uninterrupted(options);
        let killed = 0;
        // A run that is over before its moment has come is drawn anew, a little earlier.
        for (let attempt = 0; killed < ROUNDS && attempt < 4 * ROUNDS; attempt++) {
          const inTime = await round(options, random, random.integer(Math.ceil(durationMs)), killed % 3 === 2);
          if (inTime) killed += 1;
          else durationMs = Math.max(5, durationMs * 0.9);
        }
        expect(killed).toBe(ROUNDS);
      },
      600_000 + ROUNDS * 60_000,
    );
  });
}

/** Runs once without a kill; gives the time from the process's first word to its end, in milliseconds. */
async function uninterrupted(options: CampaignOptions): Promise<number> {
  await using world = await openWorld(options);
  const { report, durationMs } = await world.run(["run"], null);
  expect(report).toMatchObject({ status: "completed", resumed: false });
  expect(await world.rows()).toEqual(sorted(campaignRows(WRITTEN, options.mode)));
  return durationMs;
}

/** True: the process was killed before it had ended, and all that was expected of the others held. */
async function round(
  options: CampaignOptions,
  random: SeededRandom,
  killAfterMs: number,
  killsRollback: boolean,
): Promise<boolean> {
  await using world = await openWorld(options);
  const first = await world.run(["run"], killAfterMs);
  if (first.report !== null) return false;
  const expected = sorted(campaignRows(WRITTEN, options.mode));
  const seed = random.integer(1_000_000);
  if (killsRollback) await world.run(["run", seed, "run"], random.integer(2 * Math.ceil(killAfterMs)));
  else if (options.stays === true) {
    expect((await world.run(["run"], null)).report?.status).toBe("completed");
    expect(await world.rows()).toEqual(expected);
  }
  const { report } = await world.run(["run", seed, "run"], null);
  expect(report?.status).toBe("completed");
  const found = await world.rows();
  if (options.stays !== true) {
    expect(found).toEqual(expected);
    return true;
  }
  if (killsRollback) return true;
  const [rollback] = report?.rollbacks ?? [];
  const again = rollback?.recordsAtTarget ?? 0;
  expect(rollback?.stays).toBe(WRITTEN - writtenBy(again, found.length));
  const replayed = Array.from({ length: found.length - WRITTEN }, (_none, index) =>
    campaignRow(WRITTEN - index, options.mode),
  );
  expect(found).toEqual(sorted([...expected, ...replayed]));
  return true;
}

/** Rows that were there as of the target: all, where nothing was written again. */
function writtenBy(recordsAtTarget: number, rowsFound: number): number {
  return rowsFound === WRITTEN ? WRITTEN : recordsAtTarget;
}

interface World extends AsyncDisposable {
  run(actions: CampaignTask["actions"], killAfterMs: number | null): Promise<Ended>;
  rows(): Promise<KitRow[]>;
}

interface Ended {
  /** Null: it was killed. */
  readonly report: CampaignReport | null;
  readonly durationMs: number;
}

async function openWorld(options: CampaignOptions): Promise<World> {
  const place = await options.place();
  const folder = mkdtempSync(path.join(tmpdir(), "memento-campaign-"));
  const shared = {
    folder,
    workerModule: options.workerModule.href,
    address: place.address,
    mode: options.mode,
    records: RECORDS,
  };
  return {
    run: async (actions, killAfterMs) => await runWorker({ ...shared, actions }, killAfterMs),
    rows: async () => sorted([...(await place.read()).values()]),
    [Symbol.asyncDispose]: async () => {
      rmSync(folder, { recursive: true, force: true });
      await place.dispose();
    },
  };
}

async function runWorker(task: CampaignTask, killAfterMs: number | null): Promise<Ended> {
  const child = spawn(process.execPath, [workerPath, JSON.stringify(task)], { stdio: ["ignore", "pipe", "pipe"] });
  const limit = setTimeout(() => child.kill("SIGKILL"), PROCESS_MS_MAX);
  let [output, complaint, beganMs] = ["", "", 0];
  let moment: NodeJS.Timeout | undefined;
  child.stderr.on("data", (data: Buffer) => void (complaint += data.toString()));
  child.stdout.on("data", (data: Buffer) => {
    output += data.toString();
    if (beganMs > 0 || !output.includes("BEGAN")) return;
    beganMs = performance.now();
    if (killAfterMs !== null) moment = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  });
  const [exitCode, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, killedBy) => {
      resolve([code, killedBy]);
    });
  });
  clearTimeout(limit);
  clearTimeout(moment);
  const durationMs = performance.now() - beganMs;
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  if (exitCode === 0) return { report: JSON.parse(last) as CampaignReport, durationMs };
  if (signal === "SIGKILL" && killAfterMs !== null) return { report: null, durationMs };
  throw new Error(`A process of the campaign ended with ${String(exitCode ?? signal)}: ${complaint}${output}`);
}

function sorted(rows: readonly KitRow[]): KitRow[] {
  return rows
    .map(({ id, amount, note }) => ({ id, amount, note }))
    .toSorted((a, b) => a.amount - b.amount || (a.id < b.id ? -1 : Number(a.id > b.id)));
}
