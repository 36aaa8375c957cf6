// DBOS Transact on its own terms: PostgreSQL 15 with default durability (fsync and synchronous_commit on), over TCP on
// loopback, DBOS's default pool. One workflow, each step a DBOS.runStep whose output is recorded before the next starts.
// A worker process of its own serves the workflows; the time is taken inside it, so that talking to it costs DBOS nothing.
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { peerFailed } from "../bench-error.ts";
import { ask, goneBy, lineFrom, messageFrom, startChild, stopChild, type Child } from "../children.ts";
import { startPostgres, type Postgres } from "../engines/postgres.ts";
import type { Scratch } from "../scratch.ts";
import { expectedSum, verifyRecovery, type StagesWork } from "../work.ts";
import type { ServeTask } from "./dbos-worker.ts";

const WORKER = fileURLToPath(new URL("../../dist/peers/dbos-worker.js", import.meta.url));
const LIMIT_MS = 120_000;

export interface Dbos extends AsyncDisposable {
  /** Runs workflows, all at once; milliseconds from the start of the first to the last result. */
  run(work: StagesWork): Promise<number>;
  /** SIGKILLs a worker half-way through such a workflow; milliseconds from the spawn of the next worker to the result. */
  recover(steps: number): Promise<number>;
}

/** Starts the serving worker on a PostgreSQL, by default one of its own. Throws an error that names DBOS when either does not start. */
export async function startDbos(scratch: Scratch, server?: Postgres): Promise<Dbos> {
  await using started = new AsyncDisposableStack();
  try {
    const postgres = server ?? started.use(await startPostgres(scratch));
    const logFile = join(scratch.path, "dbos.log");
    const worker = await startChild({
      name: "DBOS worker",
      command: process.execPath,
      args: [WORKER, "serve", postgres.url("dbos_stages")],
      logFile,
      talks: "messages",
    });
    started.defer(() => stopChild(worker, "SIGKILL"));
    await messageFrom(worker, LIMIT_MS);
    return new DbosPeer(postgres, worker, logFile, started.move());
  } catch (cause) {
    throw peerFailed("dbos", "start", cause);
  }
}

class DbosPeer implements Dbos {
  readonly #postgres: Postgres;
  readonly #worker: Child;
  readonly #logFile: string;
  readonly #started: AsyncDisposableStack;
  #workflows = 0;

  constructor(postgres: Postgres, worker: Child, logFile: string, started: AsyncDisposableStack) {
    this.#postgres = postgres;
    this.#worker = worker;
    this.#logFile = logFile;
    this.#started = started;
  }

  async run({ stages: steps, runs = 1, rows = 0 }: StagesWork): Promise<number> {
    const workflowIds = Array.from({ length: runs }, () => this.#nextId());
    const answer = await ask(this.#worker, { workflowIds, steps, rows } satisfies ServeTask, LIMIT_MS);
    const { ms, results } = answer as { ms: number; results: number[] };
    for (const result of results)
      if (result !== expectedSum(steps)) throw peerFailed("dbos", "run the steps", `the result is ${result}`);
    return ms;
  }

  async recover(steps: number): Promise<number> {
    const id = this.#nextId();
    const killed = await this.#start("start", id, steps);
    if ((await goneBy(killed, LIMIT_MS)) !== "SIGKILL") throw peerFailed("dbos", "be killed", killed.lastWords());
    const start = performance.now();
    const second = await this.#start("recover", id, steps);
    const line = await lineFrom(second, LIMIT_MS);
    const ms = performance.now() - start;
    await goneBy(second, LIMIT_MS);
    verifyRecovery("dbos", line, steps);
    return ms;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#started.disposeAsync();
  }

  // A database of its own: the serving worker must not be the one that picks up what a killed worker left.
  #start(mode: "start" | "recover", id: string, steps: number): Promise<Child> {
    const args = [WORKER, mode, this.#postgres.url("dbos_recovery"), id, String(steps)];
    return startChild({
      name: `DBOS worker (${mode})`,
      command: process.execPath,
      args,
      logFile: this.#logFile,
      talks: "lines",
    });
  }

  #nextId(): string {
    return `workflow-${this.#workflows++}`;
  }
}
