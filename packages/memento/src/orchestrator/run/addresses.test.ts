import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { PART_LABEL } from "../../store/query.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink, MemoryTable } from "../sinks/index.ts";

const counting = (): Pipeline =>
  definePipeline({
    name: "count",
    version: "1",
    stages: (stage) => [
      stage.task("add", ({ state }) => {
        state["runs"] = Number(state["runs"] ?? 0) + 1;
      }),
    ],
  });

describe("the timeline of a pipeline", () => {
  const loading = (table: MemoryTable<Row>): Pipeline =>
    definePipeline({
      name: "orders",
      version: "1",
      batchRecords: 5,
      sources: { numbers: () => numbers(20) },
      sinks: { rows: () => memorySink<Row>({ table }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        return [read, stage.write("load", { after: read, sink: "rows" })];
      },
    });

  test("takes no saved state and no stream: offsets and data would be taken for gone", async () => {
    const { memento } = await bench();
    const table = new MemoryTable<Row>();
    await memento.run(loading(table), { caretaker: "etl" });
    const etl = memento.caretaker("etl");
    const refused = { code: "EXISTS", message: "etl/orders is the timeline of a pipeline" };
    await expect(etl.save({ note: "hold" }, { originator: "orders" })).rejects.toMatchObject(refused);
    await expect(etl.saveStream([new Uint8Array(10)], { originator: "orders" })).rejects.toMatchObject(refused);
    expect(await memento.run(loading(table), { caretaker: "etl" })).toMatchObject({ recordsReadAgain: 0 });
    expect(rowsOf(table)).toEqual(upTo(20));
  });

  test("is none where states were saved", async () => {
    const { memento } = await bench();
    const etl = memento.caretaker("etl");
    await etl.save({ a: 1 }, { originator: "orders" });
    const refused = { code: "EXISTS", message: "etl/orders is a timeline of saved states, not of a pipeline" };
    await expect(memento.run(loading(new MemoryTable()), { caretaker: "etl" })).rejects.toMatchObject(refused);
    expect(await etl.latest("orders")).toEqual({ a: 1 });
  });

  test("is passed over by latest(), and what it keeps is no state to load", async () => {
    const { memento } = await bench();
    const etl = memento.caretaker("etl");
    await etl.save({ a: 1 });
    const { head } = await memento.run(counting(), { caretaker: "etl" });
    expect(await etl.latest()).toEqual({ a: 1 });
    await expect(etl.load(head)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { id: head } });
  });
});

describe("names of a timeline", () => {
  test.each([
    ["a partition that ends inside of a character", { partition: "Café \ud83d" }],
    ["a partition with a control character", { partition: "a\u0000b" }],
    ["a caretaker without a name", { caretaker: "" }],
    ["a caretaker that is no text", { caretaker: "\udc00" }],
  ])("%s: NAME_INVALID, and nothing is made", async (_name, place) => {
    const { memento } = await bench();
    await expect(memento.run(counting(), place)).rejects.toMatchObject({ code: "NAME_INVALID" });
    expect(await Array.fromAsync(memento.vault.store.timelines(null))).toEqual([]);
  });

  test("a fork is not called as Memento calls its own", async () => {
    const { memento } = await bench();
    const { head } = await memento.run(counting());
    await expect(memento.fork(head, { name: "@parts-1" })).rejects.toMatchObject({ code: "NAME_INVALID" });
  });

  test("P7: a fork that is called so all the same, by an earlier release, loses nothing to a collection", async () => {
    const { memento } = await bench();
    const { head, timeline } = await memento.run(counting());
    const { record } = await memento.vault.timeline(timeline);
    const ground = await memento.vault.load(head);
    const fork = await memento.vault.ensureTimeline({ ...record, fork: "@parts-1" }, "pipeline", head);
    const writer = await memento.vault.writer(fork);
    await writer.append({ reason: "fork", status: "completed", generation: 0, ground });
    await memento.run(counting(), { fork: "@parts-1" });
    const { removed } = await memento.collect();
    expect(removed).toEqual([]);
    const after = await memento.run(counting(), { fork: "@parts-1" });
    expect(await (await memento.vault.load(after.head)).value("state/runs")).toBe(3);
    expect((await memento.vault.load(after.head)).entry.labels[PART_LABEL]).toBeUndefined();
  });
});

describe("one key for the runs of two pipelines", () => {
  const daily = (name: string): Pipeline =>
    definePipeline({
      name,
      version: "1",
      stages: (stage) => {
        const ready = stage.approval("ready");
        return [ready, stage.task("load", { after: [ready] }, () => 1)];
      },
    });

  test("is not guessed at by a decision, and counts as two", async () => {
    const { memento } = await bench();
    const key = "2026-11-23";
    const { timeline } = await memento.run(daily("orders"), { key });
    await memento.run(daily("flights"), { key });
    const unclear = { code: "INVALID_ARGUMENT", message: expect.stringContaining("pipelines/orders") as string };
    await expect(memento.approve(key)).rejects.toMatchObject(unclear);
    await expect(memento.cancel(key)).rejects.toMatchObject(unclear);
    await expect(memento.pause(key)).rejects.toMatchObject(unclear);
    expect(await memento.approve(key, { timeline })).toMatchObject({ timeline });
    expect((await memento.statistics()).total.runs?.count).toBe(2);
  });

  test("is found on the fork that has gone on with the run", async () => {
    const { memento } = await bench();
    const key = "2026-11-23";
    const { head } = await memento.run(daily("orders"), { key });
    await memento.fork(head, { name: "try" });
    const { timeline } = await memento.run(daily("orders"), { fork: "try" });
    expect(await memento.approve(key)).toMatchObject({ timeline });
  });
});
