import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";

import { ownProgram } from "../../core/own-files.ts";
import type { SinkLoan } from "./kit.ts";
import type { SinkWorkerOrder, WorkerCall } from "./worker.ts";

const PROGRAM = ownProgram("testing/sink/worker");

/** No worker outlives the test that started it by much. */
const LIFETIME_MS_MAX = 180_000;

type News = Readonly<Record<string, unknown>>;

/** A process of the kit that uses the test's place. */
export class SinkWorker {
  /** What it has printed so far. */
  readonly news: News[] = [];
  readonly #process: ChildProcess;
  readonly #end: Promise<void>;
  #errors = "";
  #hasEnded = false;
  #watchers: (() => void)[] = [];

  private constructor(child: ChildProcess) {
    this.#process = child;
    let rest = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.news.push(JSON.parse(line) as News);
      this.#wake();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#errors += text));
    this.#end = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", () => {
        this.#hasEnded = true;
        this.#wake();
        resolve();
      });
    });
  }

  /** Starts a worker that signals itself at step `at`; never where that is 0. */
  static start(
    { options, place }: SinkLoan,
    calls: readonly WorkerCall[],
    at = 0,
    signal: SinkWorkerOrder["signal"] = "SIGKILL",
  ): SinkWorker {
    const { workerModule } = options;
    assert.ok(workerModule);
    const order: SinkWorkerOrder = { module: workerModule.href, address: place.address, calls, at, signal };
    const child = spawn(process.execPath, [fileURLToPath(PROGRAM), JSON.stringify(order)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: LIFETIME_MS_MAX,
      killSignal: "SIGKILL",
    });
    return new SinkWorker(child);
  }

  /** Resolves with the first news of this kind; fails when the process ends without it. */
  async until(kind: string): Promise<News> {
    for (;;) {
      const found = this.news.find((news) => kind in news);
      if (found !== undefined) return found;
      if (this.#hasEnded) assert.fail(`a worker ended before it had ${kind}: ${this.#errors}`);
      await new Promise<void>((resolve) => this.#watchers.push(resolve));
    }
  }

  /** Waits for its end; true when it ended by SIGKILL. Fails when it ended by an error. */
  async end(): Promise<boolean> {
    await this.#end;
    if (this.#process.signalCode === "SIGKILL") return true;
    assert.equal(this.#process.exitCode, 0, this.#errors);
    return false;
  }

  signal(signal: "SIGCONT" | "SIGKILL"): void {
    this.#process.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#end;
  }

  #wake(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watcher of watchers) watcher();
  }
}
