import { describe, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";

/** A pipeline whose runs append a row with their key. */
async function bench() {
  const data = new MemoryTable<{ readonly day: string }>();
  const memento = await Memento.open(await MemoryStore.open());
  const daily = definePipeline({
    name: "daily",
    version: "1",
    sinks: { table: () => memorySink<{ readonly day: string }>({ table: data }) },
    stages: (stage) => [
      stage.task("load", async (context) => {
        await context.write("table", [{ day: context.run.key ?? "" }]);
        return context.run.key;
      }),
    ],
  });
  const run = async (key: string, fresh = false) => await memento.run(daily, { key, fresh });
  const days = (): string[] => [...data.rows.values()].map(({ day }) => day).toSorted();
  const keepLast = async (last: number): Promise<void> => {
    await memento.caretaker("pipelines").setPolicy({ keep: { last } });
    await memento.collect();
  };
  return { memento, daily, run, days, keepLast };
}

describe("P10 exactly once: a run with a key that is asked for again", () => {
  test("was done before, also where its mementos were collected", async () => {
    const { memento, run, days, keepLast } = await bench();
    for (const key of ["day-1", "day-2", "day-3"]) await run(key);
    await keepLast(2);
    const again = await run("day-1");
    expect(again).toMatchObject({ alreadyDone: true, status: "completed", run: "day-1" });
    await expect(again.output("load")).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(days()).toEqual(["day-1", "day-2", "day-3"]);
    await memento.close();
  });

  test("was not, where a rollback took its data back, also where the rollback was collected", async () => {
    const { memento, daily, run, days, keepLast } = await bench();
    await run("day-0");
    const { head } = await run("day-1");
    const plan = await memento.plan(daily, "start");
    await memento.rollback(daily, "start", { plan: plan.hash });
    expect(days()).toEqual(["day-0"]);
    await memento.caretaker("pipelines").pin(head);
    for (const key of ["day-2", "day-3", "day-4"]) await run(key, true);
    await keepLast(3);
    const left = await Array.fromAsync(memento.history(daily), ({ reason }) => reason);
    expect(left).not.toContain("rollback");
    expect(await run("day-1", true)).toMatchObject({ alreadyDone: false, status: "completed" });
    expect(days()).toEqual(["day-0", "day-1", "day-2", "day-3", "day-4"]);
    expect(await run("day-0")).toMatchObject({ alreadyDone: true });
    await memento.close();
  });
});
