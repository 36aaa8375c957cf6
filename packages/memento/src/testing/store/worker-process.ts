import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import { ownProgram } from "../../core/own-files.ts";
import type { StoreLoan } from "./kit.ts";
import type { WorkerJob, WorkerOrder } from "./worker.ts";

const PROGRAM = ownProgram("testing/store/worker");

/** No worker outlives the test that started it by much. */
const LIFETIME_MS_MAX = 180_000;

/** A process of the kit that uses the test's store at the same time as the test does. */
export class WorkerProcess {
  /** What the store has acknowledged to it so far. */
  readonly news: Record<string, unknown>[] = [];
  readonly #process: ChildProcess;
  readonly #exit: Promise<void>;
  #errors = "";
  #watchers: (() => void)[] = [];
  #isReady = false;
  #hasEnded = false;

  private constructor(child: ChildProcess) {
    this.#process = child;
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line) as unknown);
      this.#wake();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.#exit = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => {
        this.#hasEnded = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Starts a worker on the place of a test and waits until it has opened the store; it begins when `go` is called. */
  static async start({ options, place }: StoreLoan, job: WorkerJob, seed: number): Promise<WorkerProcess> {
    const { workerModule } = options;
    assert.ok(workerModule, "a store that processes share is tested by processes: give the kit a workerModule");
    const order: WorkerOrder = { module: workerModule.href, address: place.address, seed, job };
    const child = spawn(process.execPath, [fileURLToPath(PROGRAM), JSON.stringify(order)], {
      stdio: ["pipe", "pipe", "pipe"],
      timeout: LIFETIME_MS_MAX,
      killSignal: "SIGKILL",
    });
    const worker = new WorkerProcess(child);
    await worker.until(() => worker.#isReady);
    return worker;
  }

  /** True once the process is gone and all its news has been read. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  go(): void {
    this.#process.stdin?.write("go\n");
  }

  /** Resolves once `done` holds, looked at after each piece of news; fails when the process ends before. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#hasEnded) assert.fail(`a worker ended too soon: ${this.#errors}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Waits for its end, and expects that it did its whole job. */
  async finish(): Promise<void> {
    await this.#exit;
    assert.equal(this.#process.exitCode, 0, this.#errors);
  }

  /** Kills it as a power cut would end it: no handler runs. What it had printed is still read. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #take(news: unknown): void {
    if (news === "ready") this.#isReady = true;
    else this.news.push(news as Record<string, unknown>);
  }

  #wake(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watcher of watchers) watcher();
  }
}
