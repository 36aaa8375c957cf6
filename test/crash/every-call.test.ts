import { mkdtempSync, rmSync, cpSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { extent } from "../harness/extent.ts";
import { runProcess } from "../harness/process.ts";
import { tablePath } from "./load-pipeline.ts";
import type { WorkerReport, WorkerTask } from "./worker.ts";

const worker = fileURLToPath(new URL("worker.ts", import.meta.url));
/** Hundreds of processes, one after the other. */
const TIMEOUT_MS = 3_600_000;
let root: string;

beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "memento-crash-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

async function start(task: WorkerTask): Promise<{ signal: NodeJS.Signals | null; report: WorkerReport | null }> {
  const { signal, exitCode, stdout, stderr } = await runProcess(process.execPath, [worker, JSON.stringify(task)], {
    timeoutMs: 180_000,
  });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  const report = line.startsWith("{") ? (JSON.parse(line) as WorkerReport) : null;
  if (signal === null && report === null)
    throw new Error(`The worker ended with ${exitCode} and said:\n${stdout}${stderr}`);
  return { signal, report };
}

/** Everything that must describe the same moment: both tables, and offsets and state of the head. */
async function moment(
  folder: string,
): Promise<{ items: number[]; totals: unknown[]; offset: unknown; loaded: unknown; status: string }> {
  const database = new DatabaseSync(tablePath(folder), { readOnly: true });
  const has = (table: string): boolean =>
    database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) !== undefined;
  const items = has("items")
    ? database
        .prepare("SELECT id FROM items ORDER BY id")
        .all()
        .map((row) => Number(row["id"]))
    : [];
  const totals = has("totals")
    ? database
        .prepare("SELECT bucket, last FROM totals ORDER BY bucket")
        .all()
        .map((row) => ({ ...row }))
    : [];
  database.close();
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  let [offset, loaded, status]: unknown[] = [];
  for await (const entry of memento.history({ name: "load" })) {
    const head = await memento.vault.load(entry.id);
    [offset, loaded, status] = [
      ((await head.value("offsets/ids")) as Record<string, unknown> | undefined)?.["0"],
      await head.value("state/loaded"),
      entry.status,
    ];
    break;
  }
  expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  return { items, totals, offset, loaded, status: String(status) };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const totalsAt = (count: number): unknown[] =>
  [0, 1, 2].map((bucket) => ({ bucket, last: upTo(count).findLast((id) => id % 3 === bucket) }));

function expectMoment(found: Awaited<ReturnType<typeof moment>>, count: number, where: string): void {
  expect(found.items, where).toEqual(upTo(count));
  expect(found.totals, where).toEqual(count === 0 ? [] : totalsAt(count));
  expect(found.offset ?? 0, where).toBe(count);
  expect(found.loaded ?? 0, where).toBe(count);
}

/** A kill at every how many-th call, before and after by turns. */
const stride = extent({ plain: 13, all: 1 });

/** Repeats a scenario with a kill before, then after, each of its calls, until it runs through unharmed. Returns the names of the calls. */
async function killAtEveryCall(
  name: string,
  prepare: (folder: string) => void,
  task: Omit<WorkerTask, "folder" | "kill">,
  check: (folder: string, where: string) => Promise<void>,
): Promise<readonly string[]> {
  for (const phase of ["before", "after"] as const) {
    for (let call = phase === "before" ? 1 : Math.ceil(stride / 2); ; call += stride) {
      const folder = path.join(root, `${name}-${phase}-${call}`);
      prepare(folder);
      const { signal, report } = await start({ ...task, folder, kill: { call, phase } });
      if (signal === "SIGKILL") {
        await check(folder, `${name}: killed ${phase} call ${call}`);
        rmSync(folder, { recursive: true });
        continue;
      }
      expect(report?.error, name).toBeUndefined();
      rmSync(folder, { recursive: true });
      if (phase === "after") return report?.calls ?? [];
      break;
    }
  }
  return [];
}

async function fresh(folder: string, count = 0): Promise<void> {
  const { mkdirSync } = await import("node:fs");
  mkdirSync(folder);
  await (await Memento.open(`sqlite:${folder}/store.db`)).close();
  if (count > 0) expect((await start({ folder, action: "run", count })).report?.status).toBe("completed");
}

describe("P5 one restore, P10 exactly once: SIGKILL before and after every call of store and sinks", () => {
  test("of a run: the next run ends with each record once", { timeout: TIMEOUT_MS }, async () => {
    const base = path.join(root, "base-run");
    await fresh(base);
    const calls = await killAtEveryCall(
      "run",
      (folder) => cpSync(base, folder, { recursive: true }),
      { action: "run", count: 22 },
      async (folder, where) => {
        const again = await start({ folder, action: "run", count: 22 });
        expect(again.report, where).toMatchObject({ status: "completed" });
        expect(again.report?.recordsReadAgain ?? 0, where).toBeLessThanOrEqual(10);
        expectMoment(await moment(folder), 22, where);
      },
    );
    expect(calls.filter((call) => call === "store.append").length).toBeGreaterThanOrEqual(5);
    expect(calls.filter((call) => call === "items.write")).toHaveLength(5);
  });

  test("of a resume: the next one ends with each record once", { timeout: TIMEOUT_MS }, async () => {
    const base = path.join(root, "base-resume");
    await fresh(base);
    const probe = await start({ folder: base, action: "run", count: 22, kill: { call: 30, phase: "after" } });
    expect(probe.signal).toBe("SIGKILL");
    await killAtEveryCall(
      "resume",
      (folder) => cpSync(base, folder, { recursive: true }),
      { action: "run", count: 22 },
      async (folder, where) => {
        expect((await start({ folder, action: "run", count: 22 })).report, where).toMatchObject({
          status: "completed",
        });
        expectMoment(await moment(folder), 22, where);
      },
    );
  });

  test(
    "of a rollback: the next command finishes it, or it has not begun; never a mix",
    { timeout: TIMEOUT_MS },
    async () => {
      const base = path.join(root, "base-rollback");
      await fresh(base, 12);
      expect((await start({ folder: base, action: "run", count: 22 })).report?.status).toBe("completed");
      const target = await completedAt(base, 12);
      const seen = new Set<number>();
      const calls = await killAtEveryCall(
        "rollback",
        (folder) => cpSync(base, folder, { recursive: true }),
        { action: "rollback", count: 22, target },
        async (folder, where) => {
          await start({ folder, action: "settle", count: 22 });
          const found = await moment(folder);
          expect(found.status, where).not.toBe("reverting");
          seen.add(found.items.length);
          expectMoment(found, found.items.length === 22 ? 22 : 12, where);
          expect((await start({ folder, action: "run", count: 22 })).report, where).toMatchObject({
            status: "completed",
          });
          expectMoment(await moment(folder), 22, where);
        },
      );
      expect(calls).toContain("totals.revertTo");
      // Early kills leave the state of before, late ones the restored one: both must have been met.
      expect(seen).toEqual(new Set([12, 22]));
    },
  );
});

async function completedAt(folder: string, count: number): Promise<string> {
  await using memento = await Memento.open(`sqlite:${folder}/store.db`);
  for await (const entry of memento.history({ name: "load" })) {
    if (entry.status === "completed" && (await (await memento.vault.load(entry.id)).value("state/loaded")) === count)
      return entry.id;
  }
  throw new Error(`No run ended at ${count}`);
}
