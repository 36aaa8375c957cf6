/** A process of a sink's campaign: does what its task says, one thing after the other, unless it is killed before. */
import { writeSync } from "node:fs";
import process from "node:process";

import { Memento } from "../../../packages/memento/src/memento.ts";
import { definePipeline, type Pipeline } from "../../../packages/memento/src/orchestrator/pipeline/pipeline.ts";
import { readSnapshot } from "../../../packages/memento/src/orchestrator/run/run-state.ts";
import type { Sink } from "../../../packages/memento/src/orchestrator/sinks/sink.ts";
import { fromIterable } from "../../../packages/memento/src/orchestrator/sources/iterable/iterable-source.ts";
import { mementoQuery } from "../../../packages/memento/src/store/query.ts";
import { SeededRandom } from "../../../packages/memento/src/testing/seeded-random.ts";
import type { KitRow } from "../../../packages/memento/src/testing/sink/kit.ts";
import { campaignRow } from "./campaign-row.ts";

/** What a process is to do; one JSON text as its only argument. */
export interface CampaignTask {
  readonly folder: string;
  /** The sink kit's worker module, and the place's address for it. */
  readonly workerModule: string;
  readonly address: string;
  readonly mode: "append" | "upsert";
  readonly records: number;
  /** In order; a number is the seed by which a memento is chosen that is rolled back to. */
  readonly actions: readonly ("run" | number)[];
}

/** What a rollback went back to, and what its plan said. */
export interface CampaignRollback {
  /** Records that were loaded as of the target. */
  readonly recordsAtTarget: number;
  /** Rows that the plan says will stay. */
  readonly stays: number;
}

/** What a process tells, a line each: that it begins, and how it ended. */
export interface CampaignReport {
  readonly rollbacks: readonly CampaignRollback[];
  readonly resumed: boolean;
  readonly status: string;
}

const task = JSON.parse(process.argv[2] ?? "{}") as CampaignTask;
const { kitSink } = (await import(task.workerModule)) as {
  kitSink: (address: string, step: () => void) => Sink<KitRow>;
};

const pipeline: Pipeline = definePipeline({
  name: "campaign",
  version: "1",
  checkpoint: { records: 30 },
  batchRecords: 10,
  sources: { numbers: () => fromIterable(numbers) },
  sinks: { target: () => kitSink(task.address, () => undefined) },
  stages: (stage) => {
    const read = stage.read("read", { source: "numbers" });
    const shape = stage.map("shape", { after: read, run: (number: number) => campaignRow(number, task.mode) });
    const load = stage.write("load", { after: shape, sink: "target" });
    const more = stage.task("more", { after: { load } }, async (context) => {
      // A task that writes by itself is taken back and done again as one.
      for (const part of [1, 2]) {
        await context.write("target", [campaignRow(task.records + part, task.mode)]);
        context.state["part"] = part;
      }
    });
    return [read, shape, load, more];
  },
});

async function* numbers(): AsyncGenerator<number> {
  for (let number = 1; number <= task.records; number++) {
    // Lets the process be killed between any two batches too.
    if (number % 10 === 0) await new Promise((resolve) => void setTimeout(resolve, 1));
    yield number;
  }
}

async function rollBack(memento: Memento, seed: number): Promise<CampaignRollback> {
  const { vault } = memento;
  const ids: string[] = [];
  for await (const { entry } of vault.store.query(mementoQuery({})))
    if (entry.status !== "reverting") ids.push(entry.id);
  const target = ids[new SeededRandom(seed).integer(ids.length)] ?? "";
  const { offsets } = await readSnapshot(await vault.load(target));
  const plan = await memento.plan(pipeline, target);
  await memento.rollback(pipeline, target, { plan: plan.hash, force: [...plan.refused] });
  const [sink] = plan.sinks;
  return { recordsAtTarget: Number(offsets.get("numbers")?.["0"] ?? 0), stays: sink?.stays?.total ?? 0 };
}

await using memento = await Memento.open(`sqlite:${task.folder}/store.db`);
writeSync(1, "BEGAN\n");
const rollbacks: CampaignRollback[] = [];
let [resumed, status] = [false, ""];
for (const action of task.actions) {
  if (typeof action === "number") rollbacks.push(await rollBack(memento, action));
  else {
    // A run that was completed before the kill, or as of the target of a rollback, is not to be done a second time.
    const result = await memento.run(pipeline, { key: "campaign" });
    ({ status } = result);
    resumed ||= result.resumed;
  }
}
const report: CampaignReport = { rollbacks, resumed, status };
writeSync(1, `${JSON.stringify(report)}\n`);
