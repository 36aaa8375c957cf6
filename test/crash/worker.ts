import process from "node:process";

import { isMementoError, Memento } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";

import { CallCounter, type KillPoint } from "./killing.ts";
import { loadPipeline } from "./load-pipeline.ts";

/** What a worker process is to do; one JSON text as its only argument. */
export interface WorkerTask {
  readonly folder: string;
  readonly action: "run" | "settle" | "rollback";
  readonly count: number;
  readonly target?: string;
  readonly kill?: KillPoint;
  readonly leaseDurationMs?: number;
  readonly selfCheck?: boolean;
  /**
   * Prints `AT n` and waits a while at this record, so that a test can stop the process there. Without its own check of the
   * lease it does nothing else meanwhile, not even a renewal, and its next step comes before it could hear of a takeover.
   */
  readonly haltAt?: number;
  readonly haltMs?: number;
  readonly busyTimeoutMs?: number;
}

/** What a worker prints at its end, as its last line. */
export interface WorkerReport {
  readonly status: string;
  readonly calls: readonly string[];
  readonly recordsReadAgain?: number;
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean };
}

const task = JSON.parse(process.argv[2] ?? "{}") as WorkerTask;
const counter = new CallCounter(task.kill ?? null);

async function work(): Promise<Omit<WorkerReport, "calls">> {
  const { store } = await openStore(`sqlite:${task.folder}/store.db`);
  await using memento = await Memento.open(counter.wrap("store", store), {
    keys: { file: `${task.folder}/store.db.key` },
  });
  const pipeline = loadPipeline({
    folder: task.folder,
    count: task.count,
    wrap: (name, sink) => counter.wrap(name, sink),
    ...(task.busyTimeoutMs === undefined ? {} : { busyTimeoutMs: task.busyTimeoutMs }),
    ...(task.haltAt === undefined ? {} : { onRecord: halt }),
  });
  const lease = { leaseDurationMs: task.leaseDurationMs ?? 15_000, selfCheck: task.selfCheck ?? true };
  if (task.action === "rollback") {
    const target = task.target ?? "start";
    const { hash } = await memento.plan(pipeline, target);
    await memento.rollback(pipeline, target, { plan: hash, ...lease });
    return { status: "rolled back" };
  }
  // Settling does what every command does first, and then stops before the next stage.
  const signal = task.action === "settle" ? AbortSignal.abort() : new AbortController().signal;
  const { status, recordsReadAgain } = await memento.run(pipeline, { signal, ...lease });
  return { status, recordsReadAgain };
}

async function halt(id: number): Promise<void> {
  if (id !== task.haltAt) return;
  process.stdout.write(`AT ${id}\n`);
  if (task.selfCheck === false) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, task.haltMs ?? 0);
  else await new Promise((resolve) => void setTimeout(resolve, task.haltMs ?? 0));
}

try {
  process.stdout.write(`${JSON.stringify({ ...(await work()), calls: counter.names })}\n`);
} catch (error) {
  if (!isMementoError(error)) throw error;
  const { code, message, retryable } = error;
  process.stdout.write(
    `${JSON.stringify({ status: "error", error: { code, message, retryable }, calls: counter.names })}\n`,
  );
  process.exitCode = 1;
}
