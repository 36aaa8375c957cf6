import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, expect, test } from "vitest";

import { SeededRandom } from "../../packages/memento/src/testing/seeded-random.ts";
import { extent } from "../harness/extent.ts";
import { runProcess } from "../harness/process.ts";
import { addWave, idsAfter, loadedPath, WAVES } from "./sources-pipeline.ts";
import type { SourcesTask } from "./sources-worker.ts";

const worker = fileURLToPath(new URL("sources-worker.ts", import.meta.url));
const ROUNDS = extent({ plain: 3, all: 6, variable: "MEMENTO_SOURCE_RUNS" });
/** More calls than a run of one wave makes, so that some runs are not killed. */
const CALLS = 90;
let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-sources-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Runs a worker; false when it was killed. */
async function start(task: SourcesTask): Promise<boolean> {
  const { signal, stdout, stderr } = await runProcess(process.execPath, [worker, JSON.stringify(task)], {
    timeoutMs: 120_000,
  });
  if (signal === "SIGKILL") return false;
  expect(stdout, stderr).toContain('"completed"');
  return true;
}

test(
  "P10 exactly once: a folder and a table that grow, read by runs that are killed and rolled back",
  async () => {
    const random = new SeededRandom(Number(process.env["MEMENTO_SEED"] ?? 17));
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const folder = path.join(root, `round-${round}`);
      mkdirSync(folder);
      await (await Memento.open(`sqlite:${folder}/store.db`)).close();
      for (let wave = 0; wave < WAVES; wave++) {
        addWave(folder, wave);
        let isDone = false;
        for (let times = 0; !isDone; times++) {
          const phase = random.integer(2) === 0 ? "before" : "after";
          const kill = times < 2 ? ({ call: 1 + random.integer(CALLS), phase } as const) : null;
          const rollBack = times === 1 && random.integer(2) === 0 ? 1 + random.integer(12) : 0;
          isDone = await start({ folder, kill, rollBack });
          if (!isDone) killed += 1;
        }
        // One that was taken up in its second half does not look again at what its first half has read: the next one does.
        expect(await start({ folder, kill: null, rollBack: 0 })).toBe(true);
        using loaded = new DatabaseSync(loadedPath(folder), { readOnly: true });
        for (const table of ["files", "rows"]) {
          const rows = loaded.prepare(`SELECT id FROM "${table}" ORDER BY id`).all();
          expect(
            rows.map(({ id }) => id),
            `round ${round}, wave ${wave}: ${table}`,
          ).toEqual(idsAfter(wave + 1));
        }
      }
      rmSync(folder, { recursive: true });
    }
    expect(killed).toBeGreaterThan(ROUNDS);
  },
  120_000 + ROUNDS * 60_000,
);
