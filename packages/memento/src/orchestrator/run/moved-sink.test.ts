import { describe, expect, test } from "vitest";

import { type Bench, bench, load, type Row, rowsOf, upTo } from "../../../../../test/harness/number-runs.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";

/** A run that fails once at a number, having written to `data` or, below 20, to nothing. */
async function failedAt(number: number, { memento, data }: Bench, options: { fresh?: boolean } = {}): Promise<void> {
  const before = (n: number): void => {
    if (n === number) throw new Error("the power is gone");
  };
  const failing = load(() => memorySink({ table: data }), { before });
  await expect(memento.run(failing, options)).rejects.toMatchObject({ code: "STAGE_FAILED" });
}

const into = (table: MemoryTable<Row>, count = 95) => load(() => memorySink({ table }), { count });

async function headOf({ memento, data }: Bench): Promise<string | undefined> {
  for await (const { id } of memento.history(into(data))) return id;
  return undefined;
}

describe("P6: a run whose sink is not where it has written", () => {
  test("is refused with SINK_MOVED, changes nothing, and goes on once the data is back", async () => {
    const all = await bench();
    await failedAt(55, all);
    expect(rowsOf(all.data).length).toBeGreaterThan(10);
    const head = await headOf(all);
    const other = new MemoryTable<Row>();
    await expect(all.memento.run(into(other))).rejects.toMatchObject({
      code: "SINK_MOVED",
      message: expect.stringContaining("the sink table") as string,
    });
    expect(rowsOf(other)).toEqual([]);
    expect(await headOf(all)).toBe(head);
    expect(await all.memento.run(into(all.data))).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(all.data)).toEqual(upTo(95));
  });

  test("is run anew after a rollback to its start with the sink forced", async () => {
    const { memento, ...all } = await bench();
    await failedAt(55, { memento, ...all });
    const other = new MemoryTable<Row>();
    const pipeline = into(other);
    const plan = await memento.plan(pipeline, "start");
    expect(plan.refused).toEqual(["table"]);
    await memento.rollback(pipeline, "start", { plan: plan.hash, force: ["table"] });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(rowsOf(other)).toEqual(upTo(95));
  });

  test("goes on where it has not written yet, whatever earlier runs did elsewhere", async () => {
    const all = await bench();
    await all.memento.run(into(all.data, 20));
    await failedAt(21, all, { fresh: true });
    const other = new MemoryTable<Row>();
    expect(await all.memento.run(into(other))).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(other)).toEqual(upTo(95).slice(20));
  });
});

test("a new run at a place that is new to its timeline says so, and not the one after it", async () => {
  const { memento, data, events, onEvent } = await bench();
  await memento.run(into(data, 20), { onEvent });
  expect(events.some(({ type }) => type === "sink-moved")).toBe(false);
  const other = new MemoryTable<Row>();
  await memento.run(into(other, 30), { onEvent });
  expect(events.filter(({ type }) => type === "sink-moved")).toMatchObject([{ sink: "table" }]);
  await memento.run(into(other, 40), { onEvent });
  expect(events.filter(({ type }) => type === "sink-moved")).toHaveLength(1);
  expect(rowsOf(other)).toEqual(upTo(40).slice(20));
});
