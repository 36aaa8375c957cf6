import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";
import { extent } from "../harness/extent.ts";
import { runProcess } from "../harness/process.ts";
import { EVERYTHING, tablesPath } from "./stages-pipeline.ts";
import type { StagesReport, StagesTask } from "./stages-worker.ts";

const worker = fileURLToPath(new URL("stages-worker.ts", import.meta.url));
const ROUNDS = extent({ plain: 3, all: 8, variable: "MEMENTO_STAGE_RUNS" });
let root: string;

beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), "memento-stages-"));
  mkdirSync(path.join(root, "empty"));
  await (await Memento.open(`sqlite:${root}/empty/store.db`)).close();
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const fresh = (folder: string): void => cpSync(path.join(root, "empty"), folder, { recursive: true });

/** Runs a worker; null when it was killed. */
async function start(task: StagesTask): Promise<StagesReport | null> {
  const { signal, stdout, stderr } = await runProcess(process.execPath, [worker, JSON.stringify(task)], {
    timeoutMs: 120_000,
  });
  if (signal === "SIGKILL") return null;
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) throw new Error(`The worker said:\n${stdout}${stderr}`);
  return JSON.parse(line) as StagesReport;
}

async function expectEverything(folder: string, report: StagesReport, where: string): Promise<void> {
  expect(report.report, where).toEqual(EVERYTHING.report);
  expect(report.left, where).toEqual([]);
  using database = new DatabaseSync(tablesPath(folder), { readOnly: true });
  for (const table of ["flow", "odd", "even", "copied", "items", "part"] as const) {
    const isThere = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) !== undefined;
    const rows = isThere ? database.prepare(`SELECT id FROM "${table}" ORDER BY id`).all() : [];
    expect(
      rows.map(({ id }) => id),
      `${where}: ${table}`,
    ).toEqual(EVERYTHING[table]);
  }
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  expect(await memento.verify(), where).toMatchObject({ sound: true, damages: [] });
}

describe("P10 exactly once: every kind of stage, killed at calls of store and sinks", () => {
  test.each([1, 3])(
    "%i at once: however often it is killed, and wherever it is rolled back to, the end is the same",
    async (concurrency) => {
      const whole = path.join(root, `whole-${concurrency}`);
      fresh(whole);
      const undisturbed = await start({ folder: whole, concurrency, kill: null });
      if (undisturbed === null) throw new Error("Nobody was to kill it");
      await expectEverything(whole, undisturbed, "undisturbed");
      const random = new SeededRandom(Number(process.env["MEMENTO_SEED"] ?? 11) + concurrency);
      for (let round = 0; round < ROUNDS; round++) {
        const folder = path.join(root, `round-${concurrency}-${round}`);
        fresh(folder);
        const kills: string[] = [];
        let report: StagesReport | null = null;
        for (let times = 0; report === null; times++) {
          const phase = random.integer(2) === 0 ? "before" : "after";
          const kill = times < 4 ? { call: 1 + random.integer(undisturbed.calls), phase } : null;
          kills.push(kill === null ? "not" : `${kill.phase} ${kill.call}`);
          const rollBack = round % 3 === 2 && times === 1 ? { rollBack: random.integer(30) } : {};
          report = await start({ folder, concurrency, kill: kill as StagesTask["kill"], ...rollBack });
        }
        await expectEverything(folder, report, `killed ${kills.join(", ")}`);
        rmSync(folder, { recursive: true });
      }
    },
    300_000,
  );
});
