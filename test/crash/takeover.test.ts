import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { stopOutsideTransactions } from "../harness/stop-outside-transactions.ts";
import { loadPipeline, tablePath } from "./load-pipeline.ts";
import type { WorkerReport, WorkerTask } from "./worker.ts";

const workerPath = fileURLToPath(new URL("worker.ts", import.meta.url));
/** So long that it is still held when somebody asks for it, however busy the machine is. */
const LEASE_MS = 16_000;
/** How long a worker waits to be stopped; over by the time it goes on. */
const HALT_MS = 15_000;
let folder: string;
let workers: Worker[];

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-takeover-"));
  workers = [];
  await (await Memento.open(`sqlite:${folder}/store.db`)).close();
});
afterEach(async () => {
  for (const worker of workers) worker.end();
  await Promise.all(workers.map(async (worker) => await worker.exit));
  rmSync(folder, { recursive: true, force: true });
});

/** A worker process whose output can be waited for, and which can be stopped and continued. */
class Worker {
  readonly #child: ChildProcess;
  #output = "";
  readonly exit: Promise<void>;

  constructor(task: Omit<WorkerTask, "folder">) {
    this.#child = spawn(process.execPath, [workerPath, JSON.stringify({ ...task, folder })], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (data: Buffer) => void (this.#output += data.toString()));
    this.exit = new Promise(
      (resolve) =>
        void this.#child.once("exit", () => {
          resolve();
        }),
    );
    workers.push(this);
  }

  async says(text: string): Promise<void> {
    for (let attempt = 0; attempt < 12_000; attempt++) {
      if (this.#output.includes(text)) return;
      if (this.#child.exitCode !== null) break;
      await new Promise((resolve) => void setTimeout(resolve, 10));
    }
    throw new Error(`The worker never said ${text}; it said: ${this.#output}`);
  }

  async stop(): Promise<void> {
    await stopOutsideTransactions(path.join(folder, "store.db"), (name) => void this.#child.kill(name));
  }

  goOn(): void {
    this.#child.kill("SIGCONT");
  }

  end(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
  }

  async report(): Promise<WorkerReport> {
    await this.exit;
    const line = this.#output.trim().split("\n").at(-1) ?? "";
    return JSON.parse(line) as WorkerReport;
  }
}

function rows(): number[] {
  const database = new DatabaseSync(tablePath(folder), { readOnly: true });
  const found = database.prepare("SELECT id FROM items ORDER BY id").all();
  database.close();
  return found.map((row) => Number(row["id"]));
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const pastLease = async (): Promise<void> => await new Promise((resolve) => void setTimeout(resolve, LEASE_MS + 300));

describe("P6 one writer: a stopped worker that wakes up after a takeover", () => {
  for (const selfCheck of [true, false]) {
    test(`is refused with FENCED ${selfCheck ? "" : "by store and sink themselves, its own lease check being switched off"}`, async () => {
      await using memento = await Memento.open(`sqlite:${folder}/store.db`);
      const stopped = new Worker({
        action: "run",
        count: 60,
        haltAt: 33,
        haltMs: HALT_MS,
        leaseDurationMs: LEASE_MS,
        selfCheck,
      });
      await stopped.says("AT 33");
      await stopped.stop();
      const early = memento.run(loadPipeline({ folder, count: 60 }));
      await expect(early).rejects.toMatchObject({ code: "LOCKED", retryable: true });
      await pastLease();
      const taker = new Worker({ action: "run", count: 60, leaseDurationMs: LEASE_MS });
      expect(await taker.report()).toMatchObject({ status: "completed" });
      stopped.goOn();
      const report = await stopped.report();
      expect(report.error).toMatchObject({ code: "FENCED" });
      // With its own check off, the stopped worker went on to its next write, and the sink was who refused it.
      if (!selfCheck)
        expect(report.calls.findLast((call) => !call.endsWith(".close") && !call.startsWith("store."))).toMatch(
          /\.write$/u,
        );
      expect(rows()).toEqual(upTo(60));
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  }

  test("its late save is refused by the store", async () => {
    const stopped = new Worker({
      action: "run",
      count: 60,
      haltAt: 60,
      haltMs: HALT_MS,
      leaseDurationMs: LEASE_MS,
      selfCheck: false,
    });
    await stopped.says("AT 60");
    await stopped.stop();
    await pastLease();
    {
      // Only the store's epoch is raised here: the sinks still take the old worker's writes, and its save is what is refused.
      await using memento = await Memento.open(`sqlite:${folder}/store.db`);
      const { vault } = memento;
      for await (const state of memento.timelines()) {
        const timeline = state.record.key;
        const lease = vault.leaseOf(timeline, {
          epoch: state.lease.epoch + 1,
          owner: "other",
          expiresAt: 0,
          holder: null,
        });
        expect(await vault.store.acquireLease({ timeline, lease })).toBe(true);
      }
    }
    stopped.goOn();
    const report = await stopped.report();
    expect(report.error).toMatchObject({ code: "FENCED" });
    expect(report.calls.findLast((call) => call.startsWith("store.a"))).toBe("store.append");
  });
});

describe("P6 one writer: a stopped process that holds the engine's own lock", () => {
  test.each([
    ["the sink's", () => tablePath(folder)],
    ["the store's", () => path.join(folder, "store.db")],
  ])("%s: the taker ends with LOCKED, and goes on once the holder is gone", async (_whose, file) => {
    expect(await new Worker({ action: "run", count: 10 }).report()).toMatchObject({ status: "completed" });
    const script = `
      const { DatabaseSync } = require("node:sqlite");
      const database = new DatabaseSync(${JSON.stringify(file())});
      database.exec("BEGIN IMMEDIATE");
      console.log("HOLDING");
      setTimeout(() => {}, 600_000);`;
    const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const gone = new Promise((resolve) => void holder.once("exit", resolve));
    try {
      await new Promise((resolve) => void holder.stdout.once("data", resolve));
      holder.kill("SIGSTOP");
      const refused = await new Worker({ action: "run", count: 20, busyTimeoutMs: 300 }).report();
      expect(refused.error).toMatchObject({ code: "LOCKED", retryable: true });
    } finally {
      holder.kill("SIGKILL");
      await gone;
    }
    expect(await new Worker({ action: "run", count: 20 }).report()).toMatchObject({ status: "completed" });
    expect(rows()).toEqual(upTo(20));
  });
});
