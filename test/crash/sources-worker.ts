import process from "node:process";

import { Memento } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";

import { CallCounter, type KillPoint } from "./killing.ts";
import { growing } from "./sources-pipeline.ts";

/** What the process is to do; one JSON text as its only argument. */
export interface SourcesTask {
  readonly folder: string;
  readonly kill: KillPoint | null;
  /** Rolls back first, by as many mementos. */
  readonly rollBack: number;
}

const task = JSON.parse(process.argv[2] ?? "{}") as SourcesTask;
const counter = new CallCounter(task.kill);
const { store } = await openStore(`sqlite:${task.folder}/store.db`);
await using memento = await Memento.open(counter.wrap("store", store), {
  keys: { file: `${task.folder}/store.db.key` },
});
const pipeline = growing({ folder: task.folder, wrap: (name, sink) => counter.wrap(name, sink) });
if (task.rollBack > 0) {
  const ids: string[] = [];
  for await (const { id } of memento.history(pipeline)) ids.push(id);
  const target = ids[Math.min(task.rollBack, ids.length - 1)];
  if (target !== undefined && ids.length > 1)
    await memento.rollback(pipeline, target, { plan: (await memento.plan(pipeline, target)).hash });
}
const { status } = await memento.run(pipeline);
process.stdout.write(`${JSON.stringify({ status, calls: counter.names.length })}\n`);
