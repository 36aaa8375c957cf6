import { describe, expect, test } from "vitest";

import { type Bench, bench, load, numbers, type Row, rowsOf, upTo } from "../../../../../test/harness/number-runs.ts";
import { systemClock } from "../../core/ports.ts";
import { LeaseKeeper } from "../../vault/lease-keeper.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { PIECE, type RunRecord } from "./run-state.ts";

/** A run that fails once at a number, having written to `data` or, below 20, to nothing. */
async function failedAt(number: number, { memento, data }: Bench, options: { fresh?: boolean } = {}): Promise<void> {
  const before = (n: number): void => {
    if (n === number) throw new Error("the power is gone");
  };
  const failing = load(() => memorySink({ table: data }), { before });
  await expect(memento.run(failing, options)).rejects.toMatchObject({ code: "STAGE_FAILED" });
}

/** Writes each number to two sinks. */
function twofold(data: MemoryTable<Row>, copies: MemoryTable<Row>, failAt = 0): Pipeline {
  const before = (n: number): void => {
    if (n === failAt) throw new Error("the power is gone");
  };
  return definePipeline({
    name: "twofold",
    version: "1",
    checkpoint: { records: 20 },
    batchRecords: 10,
    sources: { numbers: () => numbers(95, { before }) },
    sinks: { table: () => memorySink({ table: data }), copies: () => memorySink({ table: copies }) },
    stages: (stage) => {
      const extract = stage.read("extract", { source: "numbers" });
      return [
        extract,
        stage.write("write", { after: extract, sink: "table" }),
        stage.write("copy", { after: extract, sink: "copies" }),
      ];
    },
  });
}

const into = (table: MemoryTable<Row>, count = 95) => load(() => memorySink({ table }), { count });

async function headOf({ memento, data }: Bench): Promise<string | undefined> {
  for await (const { id } of memento.history(into(data))) return id;
  return undefined;
}

describe("P6: a run whose sink is not where it has written", () => {
  test("is refused so behind a repair too, which has asked nobody about sinks", async () => {
    const all = await bench();
    await failedAt(55, all);
    const { vault } = all.memento;
    const { entry } = await vault.load((await headOf(all)) ?? "");
    {
      await using lease = await LeaseKeeper.acquire(vault, entry.timeline);
      const { run = "", generation } = entry;
      const writer = await vault.writer(lease.state);
      await writer.append({
        reason: "rollback",
        status: "interrupted",
        generation: generation + 1,
        run,
        fields: { evidence: { lost: entry.id, from: entry.id, why: "its bytes were damaged" } },
      });
    }
    await expect(all.memento.run(into(new MemoryTable<Row>()))).rejects.toMatchObject({ code: "SINK_MOVED" });
    expect(await all.memento.run(into(all.data))).toMatchObject({ status: "completed", resumed: true });
  });

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

  test("takes nothing back from its other sinks", async () => {
    const { memento, data } = await bench();
    const copies = new MemoryTable<Row>();
    await expect(memento.run(twofold(data, copies, 55))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    // A batch that came to the first sink behind the last memento, as a killed worker leaves it.
    const sink = memorySink({ table: data });
    const [timeline] = await Array.fromAsync(memento.timelines());
    const signal = AbortSignal.timeout(60_000);
    await sink.open({ timeline: timeline?.record.key ?? "", name: "table", clock: systemClock, signal });
    await sink.write([{ n: 1_000 }], { epoch: 1, token: "late" });
    await sink.close();
    const rows = rowsOf(data);
    await expect(memento.run(twofold(data, new MemoryTable<Row>()))).rejects.toMatchObject({
      code: "SINK_MOVED",
      message: expect.stringContaining("the sink copies") as string,
    });
    expect(rowsOf(data)).toEqual(rows);
    await memento.run(twofold(data, copies));
    expect([rowsOf(data), rowsOf(copies)]).toEqual([upTo(95), upTo(95)]);
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

  test.each([
    ["also where its first memento was collected", true, true],
    ["also where an earlier release has begun it", false, false],
  ])("goes on where it has not written yet, %s", async (_how, isCollected, keepsMarks) => {
    const all = await bench();
    const { memento } = all;
    const { timeline } = await memento.run(into(all.data, 20));
    await failedAt(21, all, { fresh: true });
    if (isCollected) {
      await memento.caretaker("pipelines").setPolicy({ keep: { last: 1 } });
      await memento.collect();
      const reasons = (await Array.fromAsync(memento.history(into(all.data)))).map(({ reason }) => reason);
      expect(reasons).not.toContain("start");
    }
    if (!keepsMarks) {
      // A run as an earlier release has kept it.
      const head = await memento.vault.load((await headOf(all)) ?? "");
      const { begun: _begun, ...run } = (await head.value(PIECE.run)) as RunRecord;
      await using lease = await LeaseKeeper.acquire(memento.vault, timeline);
      const writer = await memento.vault.writer(lease.state);
      const { generation } = head.entry;
      const pieces = new Map([[PIECE.run, run]]);
      await writer.append({ reason: "interrupt", status: "interrupted", generation, run: run.id, pieces });
    }
    const other = new MemoryTable<Row>();
    expect(await memento.run(into(other))).toMatchObject({ status: "completed", resumed: true });
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

describe("P6: a plan whose sink is not where the timeline has written", () => {
  test("says so and is refused, until the sink is forced by its name or its data is back", async () => {
    const all = await bench();
    await all.memento.run(into(all.data));
    const [other, head] = [new MemoryTable<Row>(), (await headOf(all)) ?? ""];
    const planned = await all.memento.plan(into(other), head);
    expect(planned.refused).toEqual(["table"]);
    expect(planned.sinks.map(({ verdict }) => verdict)).toEqual(["unchanged", "elsewhere"]);
    await expect(all.memento.rollback(into(other), head, { plan: planned.hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
    });
    expect(await all.memento.plan(into(all.data), head)).toMatchObject({
      refused: [],
      sinks: [{ verdict: "unchanged" }],
    });
    await all.memento.rollback(into(other), head, { plan: planned.hash, force: ["table"] });
    expect(rowsOf(all.data)).toHaveLength(95);
  });
});
