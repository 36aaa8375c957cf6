import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

import { MementoError } from "../../core/errors.ts";
import type { AppendBatch, AppendResult } from "../store.ts";
import type { WorkerAnswer, WorkerOptions, WorkerOrder } from "./append-worker.ts";

const PROGRAM = new URL(import.meta.url.endsWith(".ts") ? "./append-worker.ts" : "./append-worker.js", import.meta.url);

/** A smaller batch is appended here sooner than it is brought to another thread and back. */
const RECORDS_MIN = 8;
/** So many larger ones come before the thread is started: a short program does without. */
const BATCHES_BEFORE = 8;

interface Waiting {
  readonly resolve: (results: readonly AppendResult[]) => void;
  readonly reject: (reason: Error) => void;
  readonly records: number;
}

/**
 * Appends batches of many saves in another thread, so that this one goes on with other runs while SQLite writes and waits
 * for the disk. Decision 21.
 */
export class AppendThread {
  readonly #options: WorkerOptions;
  readonly #isOfUse: boolean;
  #batches = 0;
  #worker: Worker | null = null;
  #isOpen = false;
  #waiting: Waiting | null = null;

  /** With one core, nothing else can be done meanwhile. */
  constructor(options: WorkerOptions, cores: number = availableParallelism()) {
    this.#options = options;
    this.#isOfUse = cores > 1;
  }

  /** Says whether to append this batch here; asked once for each, as the first few of some size have the thread started. */
  takes({ records }: AppendBatch): boolean {
    if (!this.#isOfUse || records.length < RECORDS_MIN) return false;
    this.#batches += 1;
    if (this.#batches === BATCHES_BEFORE) this.#start();
    return this.#isOpen;
  }

  /** Like `appendBatch` in a transaction, for a batch that was checked. One at a time. */
  async append(batch: AppendBatch, sealedBy: string | null): Promise<readonly AppendResult[]> {
    const worker = this.#worker;
    if (worker === null) throw this.#lost(null);
    const { records, dataKey } = batch;
    const header = new Uint8Array(batch.header);
    const body = new Uint8Array(batch.body);
    const headChecks = records.map(({ headCheck }) => headCheck);
    const replacing = records.flatMap(({ replaceName }, slot) => (replaceName ? [slot] : []));
    const order: WorkerOrder = { header, body, dataKey, sealedBy, headChecks, replacing };
    worker.postMessage(order, [header.buffer, body.buffer]);
    // What is under way keeps the process alive.
    worker.ref();
    return await new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject, records: records.length };
    });
  }

  /** Ends the thread, which has the database open until then, once it has done what is under way. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    this.#isOpen = false;
    if (worker === null) return;
    const ended = new Promise((resolve) => worker.once("exit", resolve));
    worker.ref();
    worker.postMessage(null satisfies WorkerOrder);
    await ended;
  }

  /** One that cannot be started is done without: a program that was bundled may lack its file, another one the right to. */
  #start(): void {
    try {
      // What this program was started with (loaders, variables) is not for the thread.
      this.#worker = new Worker(PROGRAM, { workerData: this.#options, name: "memento", execArgv: [], env: {} });
    } catch {
      return;
    }
    this.#worker.unref();
    this.#worker.on("message", (answer: WorkerAnswer) => this.#take(answer));
    this.#worker.on("error", (error) => this.#lose(error as Error));
    this.#worker.on("exit", () => this.#lose(null));
  }

  #take(answer: WorkerAnswer): void {
    if (answer === "open") {
      this.#isOpen = this.#worker !== null;
      return;
    }
    this.#worker?.unref();
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) return;
    if ("message" in answer) waiting.reject(errorOf(answer));
    else waiting.resolve(answer.results ?? Array.from({ length: waiting.records }, () => ({ outcome: "appended" })));
  }

  #lose(error: Error | null): void {
    this.#isOpen = false;
    this.#worker = null;
    this.#waiting?.reject(this.#lost(error));
    this.#waiting = null;
  }

  #lost(cause: Error | null): MementoError {
    const { path } = this.#options;
    const reason = cause === null ? "" : `: ${cause.message}`;
    return new MementoError("IO_FAILED", `${path}: the thread that appends to it has ended${reason}`, {
      cause,
      details: { path },
    });
  }
}

function errorOf({ code, message, details }: Extract<WorkerAnswer, { readonly message: string }>): Error {
  return code === null ? new Error(message) : new MementoError(code, message, { details });
}
