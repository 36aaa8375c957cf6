/**
 * The program of a worker process of the sink kit. It opens the sink through the kit's worker module, does its calls, and
 * prints one line of JSON for each thing that the sink has answered. At the step that it is told, it sends itself a signal.
 */
import { writeSync } from "node:fs";
import process from "node:process";

import { isMementoError } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import type { Sink, SinkMark } from "../../orchestrator/sinks/sink.ts";
import { chaosSink } from "./chaos-sink.ts";
import { churn } from "./churn.ts";
import type { KitRow } from "./kit.ts";

/** What a worker does. */
export type WorkerCall =
  | { readonly kind: "write"; readonly rows: readonly KitRow[]; readonly token: string }
  | { readonly kind: "revertTo"; readonly mark: SinkMark; readonly token: string }
  /** Writes and reverts for ever, from action `marks.length` on; prints `{ acted, mark }` after each. */
  | { readonly kind: "churn"; readonly marks: readonly SinkMark[] };

/** What a worker process is started with. */
export interface SinkWorkerOrder {
  readonly module: string;
  readonly address: string;
  readonly calls: readonly WorkerCall[];
  /** The step at which it signals itself, counted from 1 on; 0 for none. */
  readonly at: number;
  readonly signal: "SIGKILL" | "SIGSTOP";
}

const EPOCH = 1;
const tell = (news: unknown): void => void writeSync(1, `${JSON.stringify(news)}\n`);

async function main({ module, address, calls, at, signal }: SinkWorkerOrder): Promise<void> {
  let steps = 0;
  let counts = false;
  const step = (): void => {
    if (!counts) return;
    steps += 1;
    if (steps !== at) return;
    tell({ struck: steps });
    process.kill(process.pid, signal);
  };
  const { kitSink } = (await import(module)) as { kitSink: (address: string, step: () => void) => Sink<KitRow> };
  const sink = chaosSink(kitSink(address, step), { before: step, after: step });
  await sink.open({ timeline: "one", name: "kit", clock: systemClock, signal: new AbortController().signal });
  tell({ ready: true });
  counts = true;
  for (const call of calls) {
    try {
      await doCall(sink, call);
      tell({ done: call.kind });
    } catch (error) {
      if (!isMementoError(error)) throw error;
      tell({ refused: error.code });
    }
  }
  counts = false;
  await sink.close();
  tell({ steps });
}

async function doCall(sink: Sink<KitRow>, call: WorkerCall): Promise<void> {
  if (call.kind === "write") await sink.write(call.rows, { epoch: EPOCH, token: call.token });
  else if (call.kind === "revertTo") {
    await sink.revertTo(call.mark, { epoch: EPOCH, token: call.token }, { force: false });
  } else await churn(sink, EPOCH, call.marks, tell);
}

await main(JSON.parse(process.argv[2] ?? "null") as SinkWorkerOrder);
