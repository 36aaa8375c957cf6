import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

import { Memento } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

import { stopOutsideTransactions } from "../harness/stop-outside-transactions.ts";
import { loadPipeline, tablePath } from "./load-pipeline.ts";
import type { WorkerReport, WorkerTask } from "./worker.ts";

const workerPath = fileURLToPath(new URL("worker.ts", import.meta.url));
/** So long that it is still held when somebody asks for it, however busy the machine is. */
const LEASE_MS = 16_000;
/** How long a worker waits to be stopped; over by the time it goes on. */
const HALT_MS = 15_000;

/** A store of its own for each test, for most of the time goes by in waiting and they go on side by side. */
class World implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(tmpdir(), "memento-takeover-"));
  readonly #workers: Worker[] = [];

  static async make(): Promise<World> {
    const world = new World();
    await (await world.open()).close();
    return world;
  }

  async open(): Promise<Memento> {
    return await Memento.open(`sqlite:${this.folder}/store.db`);
  }

  start(task: Omit<WorkerTask, "folder">): Worker {
    const worker = new Worker(this.folder, task);
    this.#workers.push(worker);
    return worker;
  }

  rows(): number[] {
    const database = new DatabaseSync(tablePath(this.folder), { readOnly: true });
    const found = database.prepare("SELECT id FROM items ORDER BY id").all();
    database.close();
    return found.map((row) => Number(row["id"]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) worker.end();
    await Promise.all(this.#workers.map(async (worker) => await worker.exit));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A worker process whose output can be waited for, and which can be stopped and continued. */
class Worker {
  readonly #folder: string;
  readonly #child: ChildProcess;
  #output = "";
  readonly exit: Promise<void>;

  constructor(folder: string, task: Omit<WorkerTask, "folder">) {
    this.#folder = folder;
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
    await stopOutsideTransactions(path.join(this.#folder, "store.db"), (name) => void this.#child.kill(name));
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

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const pastLease = async (): Promise<void> => await new Promise((resolve) => void setTimeout(resolve, LEASE_MS + 300));

describe.concurrent("P6 one writer: a stopped worker that wakes up after a takeover", () => {
  for (const selfCheck of [true, false]) {
    test(`is refused with FENCED ${selfCheck ? "" : "by store and sink themselves, its own lease check being switched off"}`, async () => {
      await using world = await World.make();
      await using memento = await world.open();
      const stopped = world.start({
        action: "run",
        count: 60,
        haltAt: 33,
        haltMs: HALT_MS,
        leaseDurationMs: LEASE_MS,
        selfCheck,
      });
      await stopped.says("AT 33");
      await stopped.stop();
      const early = memento.run(loadPipeline({ folder: world.folder, count: 60 }));
      await expect(early).rejects.toMatchObject({ code: "LOCKED", retryable: true });
      await pastLease();
      const taker = world.start({ action: "run", count: 60, leaseDurationMs: LEASE_MS });
      expect(await taker.report()).toMatchObject({ status: "completed" });
      stopped.goOn();
      const report = await stopped.report();
      expect(report.error).toMatchObject({ code: "FENCED" });
      // With its own check off, the stopped worker went on to its next write, and the sink was who refused it.
      if (!selfCheck)
        expect(report.calls.findLast((call) => !call.endsWith(".close") && !call.startsWith("store."))).toMatch(
          /\.write$/u,
        );
      expect(world.rows()).toEqual(upTo(60));
      expect(await memento.verify()).toMatchObject({ sound: true });
    });
  }

  test("its late save is refused by the store", async () => {
    await using world = await World.make();
    const stopped = world.start({
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
      await using memento = await world.open();
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

describe.concurrent("P6 one writer: a stopped process that holds the engine's own lock", () => {
  test.each([
    ["the sink's", tablePath],
    ["the store's", (folder: string) => path.join(folder, "store.db")],
  ])("%s: the taker ends with LOCKED, and goes on once the holder is gone", async (_whose, file) => {
    await using world = await World.make();
    expect(await world.start({ action: "run", count: 10 }).report()).toMatchObject({ status: "completed" });
    const script = `
      const { DatabaseSync } = require("node:sqlite");
      const database = new DatabaseSync(${JSON.stringify(file(world.folder))});
      database.exec("BEGIN IMMEDIATE");
      console.log("HOLDING");
      setTimeout(() => {}, 600_000);`;
    const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const gone = new Promise((resolve) => void holder.once("exit", resolve));
    try {
      await new Promise((resolve) => void holder.stdout.once("data", resolve));
      holder.kill("SIGSTOP");
      const refused = await world.start({ action: "run", count: 20, busyTimeoutMs: 300 }).report();
      expect(refused.error).toMatchObject({ code: "LOCKED", retryable: true });
    } finally {
      holder.kill("SIGKILL");
      await gone;
    }
    expect(await world.start({ action: "run", count: 20 }).report()).toMatchObject({ status: "completed" });
    expect(world.rows()).toEqual(upTo(20));
  });
});
