import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { iterableSource } from "../sources/index.ts";
import type { SourceInspection } from "../sources/source.ts";

interface Row {
  readonly id: number;
  readonly value: string;
}

interface Bench {
  readonly memento: Memento;
  readonly data: MemoryTable<Row>;
  pipeline: (count: number, value?: (id: number) => string) => Pipeline;
  /** The same from a source that can tell how many records lie between two offsets. */
  counted: (count: number) => Pipeline;
}

async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const data = new MemoryTable<Row>();
  const made = (count: number, value: (id: number) => string, counts: boolean): Pipeline =>
    definePipeline({
      name: "load",
      version: "1",
      checkpoint: { records: 10 },
      batchRecords: 5,
      sources: {
        ids: () =>
          iterableSource<number>({
            name: "ids",
            async *records(from) {
              for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
            },
            ...(counts ? { inspect: countedForwards } : {}),
          }),
      },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const extract = stage.read("extract", { source: "ids" });
        const transform = stage.map("transform", {
          after: extract,
          run: (id, context) => {
            context.state["seen"] = id;
            return { id, value: value(id) };
          },
        });
        const load = stage.write("load", { after: transform, sink: "table" });
        return [extract, transform, load];
      },
    });
  return {
    memento,
    data,
    pipeline: (count, value = (id) => `good ${id}`) => made(count, value, false),
    counted: (count) => made(count, (id) => `good ${id}`, true),
  };
}

/** As the sources that are built in: backwards there is no count. */
function countedForwards(from: unknown, to: unknown): SourceInspection {
  const records = Number(to ?? 0) - Number(from ?? 0);
  return { available: true, problem: "", recordsBetween: records < 0 ? null : records };
}

const good = (count: number): Row[] =>
  Array.from({ length: count }, (_, index) => ({ id: index + 1, value: `good ${index + 1}` }));
const rowsOf = (data: MemoryTable<Row>): Row[] => [...data.rows].toSorted((a, b) => a.id - b.id);

async function headOf(memento: Memento, name = "load"): Promise<string> {
  for await (const { id } of memento.history({ name })) return id;
  throw new Error("no head");
}

describe("planPipelineRollback()", () => {
  test("says item by item what would change, and changes nothing", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(20));
    const before = await headOf(memento);
    await memento.run(pipeline(50, () => "bad"));
    const rows = rowsOf(data);
    const plan = await memento.plan(pipeline(50), before);
    expect(plan).toMatchObject({
      target: { id: before },
      sources: [{ name: "ids", recordsAgain: null, available: true }],
      sinks: [{ name: "table", verdict: "revert", remove: 30, restore: 0, foreignTotal: 0 }],
      stagesAgain: [],
      state: ["seen"],
      refused: [],
    });
    expect(rowsOf(data)).toEqual(rows);
    expect((await memento.plan(pipeline(50), before)).hash).toBe(plan.hash);
  });

  test("undoing a rollback reads nothing again", async () => {
    const { memento, counted } = await bench();
    await memento.run(counted(20));
    const before = await headOf(memento);
    await memento.run(counted(50));
    const back = await memento.plan(counted(50), before);
    expect(back.sources).toMatchObject([{ recordsAgain: 30 }]);
    const { undo } = await memento.rollback(counted(50), before, { plan: back.hash });
    expect((await memento.plan(counted(50), undo)).sources).toMatchObject([{ recordsAgain: 0, available: true }]);
  });
});

describe("rollbackPipeline()", () => {
  test("takes rows, offsets and state back together, and the next run goes on from there", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(20));
    const before = await headOf(memento);
    await memento.run(pipeline(50, () => "bad"));
    const { hash } = await memento.plan(pipeline(50), before);
    const result = await memento.rollback(pipeline(50), before, { plan: hash, by: "ann", why: "bad values" });
    expect(rowsOf(data)).toEqual(good(20));
    const head = await memento.vault.load(result.head);
    expect(head.entry).toMatchObject({ reason: "rollback", status: "completed", generation: 1 });
    expect(await head.value("offsets/ids")).toEqual(await (await memento.vault.load(before)).value("offsets/ids"));
    expect(await head.value("state/seen")).toBe(20);
    expect(result.evidence).toMatchObject({
      by: "ann",
      why: "bad values",
      target: before,
      sinks: [{ name: "table", verdict: "reverted", removed: 30 }],
    });
    await memento.run(pipeline(50));
    expect(rowsOf(data)).toEqual(good(50));
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("P7 nothing lost: a rollback can be rolled back, and that one too", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(20));
    const first = await headOf(memento);
    await memento.run(pipeline(50));
    const second = await headOf(memento);
    const contents = async (id: string): Promise<string> => (await memento.vault.load(id)).contentDigest();
    let sequence = 0;
    for await (const entry of memento.history({ name: "load" })) sequence = Math.max(sequence, entry.sequence);
    const back = async (target: string): Promise<{ head: string; undo: string }> => {
      const { hash } = await memento.plan(pipeline(50), target);
      return await memento.rollback(pipeline(50), target, { plan: hash });
    };
    const one = await back(first);
    expect(rowsOf(data)).toEqual(good(20));
    await back(one.undo);
    expect(rowsOf(data)).toEqual(good(50));
    await back(second);
    expect(rowsOf(data)).toEqual(good(50));
    const three = await back(first);
    expect(rowsOf(data)).toEqual(good(20));
    await back(three.undo);
    expect(rowsOf(data)).toEqual(good(50));
    expect(await contents(second)).toBe(await contents(second));
    let count = 0;
    for await (const entry of memento.history({ name: "load" })) count += entry.sequence > 0 ? 1 : 0;
    expect(count).toBe(sequence + 10);
    await memento.run(pipeline(60));
    expect(rowsOf(data)).toEqual(good(60));
  });

  test("goes back into the middle of a run, whose rest is then run again", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(50, (id) => (id > 25 ? "bad" : `good ${id}`)));
    let middle = "";
    for await (const entry of memento.history({ name: "load" })) if (entry.reason === "interval") middle = entry.id;
    const plan = await memento.plan(pipeline(50), middle);
    expect(plan.stagesAgain).toEqual(["extract", "transform", "load"]);
    await memento.rollback(pipeline(50), middle, { plan: plan.hash });
    expect(rowsOf(data)).toEqual(good(10));
    expect(await memento.run(pipeline(50))).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(good(50));
  });

  test("refuses a plan when the world has moved, and says what moved", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(20));
    const before = await headOf(memento);
    await memento.run(pipeline(40));
    const { hash } = await memento.plan(pipeline(50), before);
    await memento.run(pipeline(50));
    const rows = rowsOf(data);
    await expect(memento.rollback(pipeline(50), before, { plan: hash })).rejects.toMatchObject({
      code: "PLAN_MOVED",
      message: expect.stringContaining("head"),
    });
    expect(rowsOf(data)).toEqual(rows);
    await expect(memento.rollback(pipeline(50), before, { plan: "nonsense" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(memento.plan(pipeline(50), "nothing-like-it")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("finds its target by id, prefix, number, name, stage and distance from the head", async () => {
    const { memento, pipeline } = await bench();
    await memento.run(pipeline(20));
    const ids: string[] = [];
    for await (const { id } of memento.history({ name: "load" })) ids.push(id);
    const planned = async (target: string): Promise<string> => (await memento.plan(pipeline(20), target)).target.id;
    expect(await planned("head")).toBe(ids[0]);
    expect(await planned("head~2")).toBe(ids[2]);
    expect(await planned("1")).toBe(ids.at(-1));
    expect(await planned("start")).toBe(ids.at(-1));
    expect(await planned("stage:transform")).toBe(ids[1]);
    expect(await planned(ids[1]?.slice(0, -2) ?? "")).toBe(ids[1]);
    await expect(memento.plan(pipeline(20), ids[0]?.slice(0, 12) ?? "")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });

  test("takes a number for the memento's own, whatever the ids begin with", async () => {
    const seeded = new SeededRandom(1);
    // All ids of the timeline begin with 3.
    const random = { bytes: (count: number) => seeded.bytes(count).with(0, 3) };
    await using memento = await Memento.open(await MemoryStore.open(), { random });
    const pipeline = definePipeline({ name: "short", version: "1", stages: (stage) => [stage.task("only", () => 1)] });
    await memento.run(pipeline);
    await memento.run(pipeline, { params: { again: true } });
    const [head, ...older] = await Array.fromAsync(memento.history({ name: "short" }), ({ id }) => id);
    const notice = memento.vault.notice("removed", { caretaker: "pipelines", timeline: null, mementos: older });
    await memento.vault.store.remove(older, notice);
    expect(head).toMatch(/^3/u);
    expect(older).toHaveLength(3);
    const removed = {
      code: "NOT_FOUND",
      message: expect.stringContaining("was removed; the earliest one left is #4, "),
    };
    await expect(memento.plan(pipeline, "3")).rejects.toMatchObject(removed);
    expect((await memento.plan(pipeline, "4")).target.id).toBe(head);
  });
});

describe("forkPipeline()", () => {
  test("goes on from any memento on a timeline of its own, and leaves the first one alone", async () => {
    const { memento, data, pipeline } = await bench();
    await memento.run(pipeline(20));
    const base = await headOf(memento);
    await memento.run(pipeline(30));
    const fork = await memento.fork(base, { name: "try" });
    await expect(memento.fork(base, { name: "try" })).rejects.toMatchObject({ code: "EXISTS" });
    await memento.run(
      pipeline(25, (id) => `fork ${id}`),
      { fork: "try" },
    );
    expect(rowsOf(data).filter(({ value }) => value.startsWith("fork"))).toHaveLength(5);
    expect(fork.entry.parent).toBe(base);
    const { hash } = await memento.plan(pipeline(25), "1", { fork: "try" });
    await memento.rollback(pipeline(25), "1", { plan: hash, fork: "try" });
    expect(rowsOf(data)).toEqual(good(30));
    await expect(memento.run(pipeline(25), { fork: "none" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("runs with the fork's own parameters until others are given, one by one", async () => {
    const memento = await Memento.open(await MemoryStore.open());
    onTestFinished(async () => await memento.close());
    const seen: unknown[] = [];
    const pipeline = definePipeline({
      name: "told",
      version: "1",
      stages: (stage) => [stage.task("tell", ({ params }) => void seen.push(params))],
    });
    await memento.run(pipeline, { params: { into: "production", day: 1 } });
    await memento.fork(await headOf(memento, "told"), { name: "try", params: { into: "try", day: 1 }, pipeline });
    await memento.run(pipeline, { fork: "try" });
    await memento.run(pipeline, { fork: "try", params: { day: 2 } });
    await memento.run(pipeline, { fork: "try", params: { into: "elsewhere" } });
    await memento.run(pipeline, { params: { day: 3 } });
    expect(seen).toEqual([
      { into: "production", day: 1 },
      { into: "try", day: 1 },
      { into: "try", day: 2 },
      { into: "elsewhere", day: 2 },
      { day: 3 },
    ]);
  });
});
