import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento, type ExportReport } from "@mementojs/memento";
import { systemClock } from "@mementojs/memento/core";
import { sqliteTable } from "@mementojs/memento/sinks";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { loadPipeline, tablePath } from "../crash/load-pipeline.ts";
import type { WorkerTask } from "../crash/worker.ts";

const worker = fileURLToPath(new URL("../crash/worker.ts", import.meta.url));
const COUNT = 60;
const otherKey = { raw: [new Uint8Array(32).fill(11)] };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-portable-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Starts the run in a process of its own, and kills that when it has read so many records. */
async function runAndKill(place: string, haltAt: number): Promise<void> {
  await (await Memento.open(`sqlite:${place}/store.db`)).close();
  const task: WorkerTask = { folder: place, action: "run", count: COUNT, haltAt, haltMs: 60_000 };
  const child = spawn(process.execPath, [worker, JSON.stringify(task)], { stdio: ["ignore", "pipe", "inherit"] });
  const gone = new Promise((resolve) => void child.once("exit", resolve));
  await new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (data: Buffer) => {
      if (data.toString().includes(`AT ${haltAt}\n`)) resolve();
    });
    void gone.then(() => reject(new Error("The worker ended before it was killed")));
  });
  child.kill("SIGKILL");
  await gone;
}

/** What the run has written to its tables, as one digest. */
function tableDigest(place: string): string {
  const database = new DatabaseSync(tablePath(place), { readOnly: true });
  const rows = ["SELECT id, text FROM items ORDER BY id", "SELECT bucket, last FROM totals ORDER BY bucket"].map(
    (query) => database.prepare(query).all(),
  );
  database.close();
  return createHash("sha256").update(JSON.stringify(rows)).digest("hex");
}

async function uninterrupted(): Promise<string> {
  const place = path.join(folder, "reference");
  mkdirSync(place);
  await using memento = await Memento.open(`sqlite:${place}/store.db`);
  expect(await memento.run(loadPipeline({ folder: place, count: COUNT }))).toMatchObject({ status: "completed" });
  return tableDigest(place);
}

/** Exports out of the store of the killed worker. */
async function exportRun(place: string, what: "timeline" | "memento"): Promise<ExportReport> {
  await using memento = await Memento.open(`sqlite:${place}/store.db`, { create: false });
  const [state] = await Array.fromAsync(memento.timelines());
  const { key } = state?.record ?? { key: "" };
  const subject = what === "timeline" ? { timeline: key } : { memento: state?.head?.id ?? "" };
  return await memento.exportTo(`${place}/run.memento`, subject);
}

describe("a run killed on one worker, exported, imported into an empty store of another engine with another key, and resumed there", () => {
  test.each(
    ([3, 23, 33, 58] as const).flatMap((haltAt) => [
      ["timeline" as const, haltAt],
      ["memento" as const, haltAt],
    ]),
  )("as a %s, killed at record %i: ends with the same tables", async (what, haltAt) => {
    const place = path.join(folder, "killed");
    mkdirSync(place);
    await runAndKill(place, haltAt);
    const { bytes, stateBytes } = await exportRun(place, what);
    process.stdout.write(`portable file of the ${what} at record ${haltAt}: ${bytes} B; its state: ${stateBytes} B\n`);
    await using target = await Memento.open(`file:${folder}/elsewhere`, { keys: otherKey });
    await target.importFrom(`${place}/run.memento`, { keys: { file: `${place}/store.db.key` } });
    const result = await target.run(loadPipeline({ folder: place, count: COUNT }));
    expect(result).toMatchObject({ status: "completed", resumed: true });
    expect(tableDigest(place)).toBe(await uninterrupted());
    expect((await target.verify()).damages).toEqual([]);
  });

  test("the worker of before is refused by the sinks, should it still be alive somewhere", async () => {
    const place = path.join(folder, "killed");
    mkdirSync(place);
    await runAndKill(place, 33);
    await exportRun(place, "timeline");
    await using target = await Memento.open(`file:${folder}/elsewhere`, { keys: otherKey });
    await target.importFrom(`${place}/run.memento`, { keys: { file: `${place}/store.db.key` } });
    await target.run(loadPipeline({ folder: place, count: COUNT }));
    const [after] = await Array.fromAsync(target.timelines());
    const sink = sqliteTable<{ id: number; text: string }>({
      path: tablePath(place),
      table: "items",
      mode: "append",
      columns: { id: "INTEGER", text: "TEXT" },
    });
    const signal = new AbortController().signal;
    await sink.open({ timeline: after?.record.key ?? "", name: "items", clock: systemClock, signal });
    // The killed worker had the first epoch.
    await expect(sink.write([{ id: 99, text: "late" }], { epoch: 1, token: "late" })).rejects.toMatchObject({
      code: "FENCED",
    });
    await sink.close();
  });
});
