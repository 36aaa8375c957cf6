import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

import { MementoError } from "../../core/errors.ts";
import { ownProgram } from "../../core/own-files.ts";
import { systemClock } from "../../core/ports.ts";
import type { ApartAppended, UnmadeBatch } from "../apart.ts";
import type { AppendBatch, AppendResult } from "../store.ts";
import type { BatchOrder, RecordColumns, WorkerAnswer, WorkerOptions, WorkerOrder } from "./append-worker.ts";
import type { ConnectionOptions } from "./connection.ts";
import { MANY_RECORDS } from "./sort-in.ts";

/** So many larger ones come before the thread is started: a short program does without. */
const BATCHES_BEFORE = 8;

interface Waiting {
  readonly resolve: (appended: ApartAppended) => void;
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
  #isClosed = false;
  /** In the order in which the thread answers. */
  readonly #waiting: Waiting[] = [];

  /** With one core, nothing else can be done meanwhile. */
  constructor(options: WorkerOptions, cores: number) {
    this.#options = options;
    this.#isOfUse = cores > 1;
  }

  /** A thread beside a connection. Time that somebody else owns does not pass in another thread: then there is none. */
  static beside({ path, lockTimeoutMs, clock }: ConnectionOptions, store: string): AppendThread {
    return new AppendThread({ path, lockTimeoutMs, store }, clock === systemClock ? availableParallelism() : 1);
  }

  /**
   * True when `append` is the way for this batch: a small one is appended here sooner than it is brought to another thread and back. Asked
   * once for each: the first few large ones have the thread started.
   */
  takes({ records }: AppendBatch): boolean {
    if (this.#isClosed || !this.#isOfUse || records.length < MANY_RECORDS) return false;
    this.#batches += 1;
    if (this.#batches === BATCHES_BEFORE) this.#start();
    return this.#isOpen;
  }

  /** True once the thread takes batches, until it ends. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Like `appendBatch` in a transaction, for a batch that was checked; null, and nothing done, where the thread has ended. One after the other. */
  async append(batch: AppendBatch, sealedBy: string | null): Promise<readonly AppendResult[] | null> {
    const header = new Uint8Array(batch.header);
    const body = new Uint8Array(batch.body);
    const headChecks = batch.records.map(({ headCheck }) => headCheck);
    const order = { header, body, sealedBy, headChecks, ...columnsOf(batch) };
    return (await this.#send(order, batch.records.length, [header.buffer, body.buffer]))?.results ?? null;
  }

  /** The same for a batch whose pack the thread makes first. */
  async appendUnmade({ maker, parts, ...batch }: UnmadeBatch): Promise<ApartAppended | null> {
    return await this.#send({ maker, parts, ...columnsOf(batch) }, batch.records.length);
  }

  async #send(order: BatchOrder, records: number, moved: readonly ArrayBuffer[] = []): Promise<ApartAppended | null> {
    const worker = this.#worker;
    if (worker === null) return null;
    worker.postMessage(order, moved);
    // What is under way keeps the process alive.
    worker.ref();
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject, records });
    });
  }

  /** Ends the thread, which has the database open until then, once it has done what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
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
      const program = ownProgram("store/sqlite/append-worker");
      // What this program was started with (loaders, variables) is not for the thread.
      this.#worker = new Worker(program, { workerData: this.#options, name: "memento", execArgv: [], env: {} });
    } catch {
      return;
    }
    const lose = (reason: unknown): void => this.#lose(reason);
    this.#worker
      .on("message", (answer: WorkerAnswer) => this.#take(answer))
      .on("messageerror", lose)
      .on("error", lose)
      .on("exit", () => this.#lose(null));
    // Behind the listeners, of which one would hold the process.
    this.#worker.unref();
  }

  #take(answer: WorkerAnswer): void {
    if (answer === "open") {
      this.#isOpen = this.#worker !== null;
      return;
    }
    const waiting = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker?.unref();
    if (waiting === undefined) return;
    if ("message" in answer) waiting.reject(errorOf(answer));
    else {
      const results =
        answer.results ?? Array.from({ length: waiting.records }, () => ({ outcome: "appended" as const }));
      waiting.resolve({ results, answer: answer.answer });
    }
  }

  #lose(reason: unknown): void {
    this.#isOpen = false;
    this.#worker = null;
    const { path } = this.#options;
    const why = reason instanceof Error ? `: ${reason.message}` : "";
    for (const { reject } of this.#waiting.splice(0)) {
      reject(
        new MementoError("IO_FAILED", `${path}: the thread that was appending has ended${why}`, {
          cause: reason,
          details: { path },
        }),
      );
    }
  }
}

function columnsOf({ records, dataKey }: Pick<UnmadeBatch, "records" | "dataKey">): RecordColumns {
  return {
    dataKey,
    ids: records.map(({ entry }) => entry.id),
    epochs: records.map(({ entry }) => entry.epoch),
    caretakers: records.map(({ entry }) => entry.caretaker),
    names: records.map(({ entry }) => entry.name ?? null),
    replacing: records.flatMap(({ replaceName }, slot) => (replaceName ? [slot] : [])),
  };
}

function errorOf({ code, message, details }: Extract<WorkerAnswer, { readonly message: string }>): Error {
  return code === null ? new Error(message) : new MementoError(code, message, { details });
}
