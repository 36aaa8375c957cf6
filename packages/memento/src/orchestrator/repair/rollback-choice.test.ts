import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { iterableSource } from "../sources/index.ts";

interface Bench {
  readonly memento: Memento;
  readonly items: MemoryTable<number>;
  readonly odd: MemoryTable<number>;
  readonly pipeline: (count: number, factor?: number) => Pipeline;
}

/** Two sinks that are fed by one source, and a task after them. */
async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const [items, odd] = [new MemoryTable<number>(), new MemoryTable<number>()];
  const pipeline = (count: number, factor = 1): Pipeline =>
    definePipeline({
      name: "load",
      version: "1",
      batchRecords: 5,
      sources: {
        ids: () =>
          iterableSource<number>({
            name: "ids",
            async *records(from) {
              for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
            },
          }),
      },
      sinks: {
        items: () => memorySink<number>({ table: items, key: String }),
        odd: () => memorySink<number>({ table: odd, key: String }),
      },
      stages: (stage) => {
        const read = stage.read("read", { source: "ids" });
        const scale = stage.map("scale", {
          after: read,
          run: (id, { state }) => {
            state["last"] = id;
            return id * factor;
          },
        });
        const load = stage.write("load", { after: scale, sink: "items" });
        const chosen = stage.map("chosen", { after: scale, run: (id) => (id % 2 === 1 ? id : undefined) });
        const loadOdd = stage.write("load-odd", { after: chosen, sink: "odd" });
        return [read, scale, load, chosen, loadOdd];
      },
    });
  return { memento, items, odd, pipeline };
}

const sorted = (table: MemoryTable<number>): number[] => [...table.rows].toSorted((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const oddUpTo = (count: number): number[] => upTo(count).filter((id) => id % 2 === 1);

async function headOf(memento: Memento): Promise<string> {
  for await (const { id } of memento.history({ name: "load" })) return id;
  throw new Error("no head");
}

/** Ten records, then twenty; the end of the first run is what is gone back to. */
async function twoRuns(): Promise<Bench & { readonly first: string }> {
  const made = await bench();
  await made.memento.run(made.pipeline(10));
  const first = await headOf(made.memento);
  await made.memento.run(made.pipeline(20));
  return { ...made, first };
}

describe("a rollback of chosen items", () => {
  test("takes one sink back and leaves all else as it is, having warned of it", async () => {
    const { memento, items, odd, pipeline, first } = await twoRuns();
    const only = ["sink:odd"];
    const plan = await memento.plan(pipeline(20), first, { only: ["odd"] });
    expect(plan).toMatchObject({ only, sources: [], sinks: [{ name: "odd", remove: 5 }], stagesAgain: [], state: [] });
    expect(plan.warnings).toEqual([
      expect.stringContaining("sink odd goes back and source ids not") as string,
      expect.stringContaining("stay as they are") as string,
    ]);
    const { head } = await memento.rollback(pipeline(20), first, { plan: plan.hash, only });
    expect([sorted(items), sorted(odd)]).toEqual([upTo(20), oddUpTo(10)]);
    const restored = await memento.vault.load(head);
    expect(restored.entry).toMatchObject({ reason: "rollback", status: "completed", generation: 1 });
    expect(await restored.value("offsets/ids")).toEqual({ "0": 20 });
    expect(await restored.value("state/last")).toBe(20);
    expect(restored.fields()["evidence"]).toMatchObject({
      only,
      parts: [{ kind: "sink", name: "odd", verdict: "reverted" }],
    });
  });

  test("a source and its sinks: the records are read and written again, once each", async () => {
    const { memento, items, odd, pipeline, first } = await twoRuns();
    const only = ["source:ids", "sink:items", "sink:odd"];
    const plan = await memento.plan(pipeline(20), first, { only });
    await memento.rollback(pipeline(20), first, { plan: plan.hash, only });
    expect([sorted(items), sorted(odd)]).toEqual([upTo(10), oddUpTo(10)]);
    await memento.run(pipeline(20));
    expect([sorted(items), sorted(odd)]).toEqual([upTo(20), oddUpTo(20)]);
    expect(await (await memento.vault.load(await headOf(memento))).value("state/last")).toBe(20);
  });

  test("a source alone: what is read again is written again, and the plan says so", async () => {
    const { memento, pipeline, first } = await twoRuns();
    const plan = await memento.plan(pipeline(20), first, { only: ["ids"] });
    expect(plan.warnings[0]).toBe(
      "source ids goes back and sinks items, odd not: records that are read again are written again",
    );
  });

  test("a stage brings its flow with it, and the finished run stands to be resumed", async () => {
    const { memento, items, pipeline, first } = await twoRuns();
    const only = ["stage:load", "source:ids", "items", "odd"];
    const plan = await memento.plan(pipeline(20), first, { only });
    expect(plan.stagesAgain).toEqual(["read", "scale", "load", "chosen", "load-odd"]);
    const { head } = await memento.rollback(pipeline(20), first, { plan: plan.hash, only });
    expect((await memento.vault.load(head)).entry.status).toBe("interrupted");
    expect(await memento.run(pipeline(20, 2))).toMatchObject({ resumed: true, status: "completed" });
    expect(sorted(items)).toEqual([
      ...upTo(10),
      ...upTo(20)
        .slice(10)
        .map((id) => id * 2),
    ]);
  });

  test("the state alone, and back again", async () => {
    const { memento, pipeline, first } = await twoRuns();
    const plan = await memento.plan(pipeline(20), first, { only: ["state"] });
    expect(plan.state).toEqual(["last"]);
    const { head, undo } = await memento.rollback(pipeline(20), first, { plan: plan.hash, only: ["state"] });
    expect(await (await memento.vault.load(head)).value("state/last")).toBe(10);
    const { hash } = await memento.plan(pipeline(20), undo);
    const undone = await memento.rollback(pipeline(20), undo, { plan: hash });
    expect(await (await memento.vault.load(undone.head)).value("state/last")).toBe(20);
  });

  test("a name that no item has is refused, and another choice than the plan's has moved", async () => {
    const { memento, pipeline, first } = await twoRuns();
    await expect(memento.plan(pipeline(20), first, { only: ["sink:none"] })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("sink:items") as string,
    });
    await expect(memento.plan(pipeline(20), first, { only: [] })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const { hash } = await memento.plan(pipeline(20), first);
    await expect(memento.rollback(pipeline(20), first, { plan: hash, only: ["items"] })).rejects.toMatchObject({
      code: "PLAN_MOVED",
      message: expect.stringContaining("the choice of items") as string,
    });
  });
});

describe("a plan that has moved", () => {
  test("names the sinks that did", async () => {
    const { memento, odd, items, pipeline, first } = await twoRuns();
    const { hash } = await memento.plan(pipeline(20), first);
    odd.set("15", null);
    const refused = async (): Promise<unknown> =>
      await memento.rollback(pipeline(20), first, { plan: hash }).catch((error: unknown) => error);
    expect(await refused()).toMatchObject({
      code: "PLAN_MOVED",
      message: "Since the plan was made, the sink odd moved",
      details: { moved: ["the sink odd"] },
    });
    items.set("15", null);
    expect(await refused()).toMatchObject({ message: "Since the plan was made, the sinks items, odd moved" });
  });
});

describe("a rollback that waits", () => {
  test("runs nothing until it is resumed, and is done by that word where nothing is left to run", async () => {
    const { memento, items, pipeline, first } = await twoRuns();
    const { hash } = await memento.plan(pipeline(20), first);
    const { head } = await memento.rollback(pipeline(20), first, { plan: hash, paused: true });
    expect((await memento.vault.load(head)).entry.status).toBe("paused");
    await expect(memento.run(pipeline(20))).rejects.toMatchObject({ code: "RUN_PENDING" });
    expect(sorted(items)).toEqual(upTo(10));
    expect(await memento.run(pipeline(20), { resume: true })).toMatchObject({ status: "completed", resumed: true });
    expect((await memento.vault.load(await headOf(memento))).entry).toMatchObject({
      status: "completed",
      reason: "resume",
    });
    await memento.run(pipeline(20));
    expect(sorted(items)).toEqual(upTo(20));
  });
});

describe("runs with a key", () => {
  test("one that a rollback has left behind is run again", async () => {
    const { memento, items, pipeline } = await bench();
    await memento.run(pipeline(10));
    const first = await headOf(memento);
    await memento.run(pipeline(20), { key: "may" });
    expect(await memento.run(pipeline(20), { key: "may" })).toMatchObject({ alreadyDone: true });
    const { hash } = await memento.plan(pipeline(20), first);
    const { undo } = await memento.rollback(pipeline(20), first, { plan: hash });
    expect(await memento.run(pipeline(20), { key: "may" })).toMatchObject({ alreadyDone: false });
    expect(sorted(items)).toEqual(upTo(20));
    const again = await memento.plan(pipeline(20), undo);
    await memento.rollback(pipeline(20), undo, { plan: again.hash });
    expect(await memento.run(pipeline(20), { key: "may" })).toMatchObject({ alreadyDone: true });
  });
});
