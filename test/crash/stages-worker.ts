import process from "node:process";

import { Memento, type MementoEntry, type RunResult } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";

import { CallCounter, type KillPoint } from "./killing.ts";
import { everything } from "./stages-pipeline.ts";

/** What the process is to do; one JSON text as its only argument. */
export interface StagesTask {
  readonly folder: string;
  readonly concurrency: number;
  readonly kill: KillPoint | null;
  /** Rolls back to this memento first, as many mementos before the head. */
  readonly rollBack?: number;
}

/** What it prints at its end. */
export interface StagesReport {
  readonly calls: number;
  readonly report: unknown;
  /** Pieces that only stages under way have a use for, and that no stage should have left. */
  readonly left: readonly string[];
}

const task = JSON.parse(process.argv[2] ?? "{}") as StagesTask;
const counter = new CallCounter(task.kill);
const { store } = await openStore(`sqlite:${task.folder}/store.db`);
await using memento = await Memento.open(counter.wrap("store", store), {
  keys: { file: `${task.folder}/store.db.key` },
});
const pipeline = everything({
  folder: task.folder,
  concurrency: task.concurrency,
  wrap: (name, sink) => counter.wrap(name, sink),
});
const mementos: MementoEntry[] = [];
for await (const entry of memento.history(pipeline)) mementos.push(entry);
const target = mementos[Math.min(task.rollBack ?? 0, mementos.length - 1)];
if (task.rollBack !== undefined && target !== undefined) {
  await memento.rollback(pipeline, target.id, { plan: (await memento.plan(pipeline, target.id)).hash });
}

let result = await run();
for (let pauses = 0; result.status === "paused" && pauses < 5; pauses++) {
  await memento.approve(result.run);
  result = await run();
}

/** Goes on where it stands, also where it stands paused. */
async function run(): Promise<RunResult> {
  let status = "";
  for await (const entry of memento.history(pipeline)) {
    ({ status } = entry);
    break;
  }
  return await memento.run(pipeline, { key: "once", resume: status === "paused" });
}

const head = await memento.vault.load(result.head);
const left = ["item/", "list/", "sleep/", "attempts/", "approval/", "progress"].flatMap((prefix) => head.keys(prefix));
const report: StagesReport = { calls: counter.names.length, report: await result.output("report"), left };
process.stdout.write(`${JSON.stringify(report)}\n`);
