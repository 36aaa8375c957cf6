import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";
import { runProcess } from "../harness/process.ts";
import type { AtOnceTask } from "./at-once-worker.ts";

const worker = fileURLToPath(new URL("at-once-worker.ts", import.meta.url));
const RUNS = 40;
const STAGES = 60;
const KILLS = 6;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-at-once-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("P1 durable: runs that save in shared commits, which another thread makes", () => {
  test(`${RUNS} at once, killed ${KILLS} times: each goes on behind what was acknowledged to it, and ends with the right sum`, async () => {
    const random = new SeededRandom(Number(process.env["MEMENTO_SEED"] ?? 29));
    const task = { folder, runs: RUNS, stages: STAGES };
    for (let killed = 0; killed < KILLS; killed++) {
      // Far enough in for the thread to have started, and near enough for the last kill to find work.
      const kill = 100 + random.integer((RUNS * STAGES) / KILLS - 100);
      const { signal, stderr } = await start({ ...task, kill });
      expect(signal, stderr).toBe("SIGKILL");
    }
    const { stdout, stderr } = await start({ ...task, kill: null });
    const sums = JSON.parse(stdout.trim() || `"${stderr}"`) as unknown;
    expect(sums).toEqual(Array.from({ length: RUNS }, () => (STAGES * (STAGES - 1)) / 2));
    for (let run = 0; run < RUNS; run++) expectNoneTwice(run);
    await using memento = await Memento.open(`sqlite:${folder}/store.db`);
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  }, 300_000);
});

/** A stage comes again only where its memento was not acknowledged: the next one had not begun, and a kill came in between. */
function expectNoneTwice(run: number): void {
  const numbers = readFileSync(`${folder}/ledger-${run}`, "utf8").trim().split("\n").map(Number);
  let again = 0;
  for (const [index, number] of numbers.entries()) {
    const before = numbers[index - 1] ?? -1;
    if (number === before) again += 1;
    else expect(number, `run ${run}, entry ${index}`).toBe(before + 1);
  }
  expect(again, `run ${run}`).toBeLessThanOrEqual(KILLS);
  expect(numbers.at(-1)).toBe(STAGES - 1);
}

async function start(task: AtOnceTask): ReturnType<typeof runProcess> {
  return await runProcess(process.execPath, [worker, JSON.stringify(task)], { timeoutMs: 120_000 });
}
