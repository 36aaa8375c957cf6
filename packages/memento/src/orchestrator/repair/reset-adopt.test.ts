import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { iterableSource } from "../sources/index.ts";

interface Bench {
  readonly memento: Memento;
  readonly rows: MemoryTable<string>;
  readonly pipeline: (count: number, text?: string, writes?: boolean) => Pipeline;
  /** Where a run writes that has its name as the parameter `into`. */
  readonly others: Map<string, MemoryTable<string>>;
  readonly head: (fork?: string) => Promise<string>;
}

async function bench(): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const rows = new MemoryTable<string>();
  const others = new Map<string, MemoryTable<string>>();
  const pipeline = (count: number, text = "good", writes = true): Pipeline =>
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
      sinks: { rows: ({ params }) => memorySink<string>({ table: others.get(String(params["into"])) ?? rows }) },
      stages: (stage) => [
        stage.task("load", async (context) => {
          for await (const { records } of context.read("ids")) {
            const texts = (records as number[]).map((id) => `${text} ${id}`);
            if (writes) await context.write("rows", texts);
            context.state["last"] = texts.at(-1);
          }
          return count;
        }),
      ],
    });
  const head = async (fork?: string): Promise<string> => {
    for await (const { id } of memento.history({ name: "load" }, fork === undefined ? {} : { fork })) return id;
    throw new Error("no head");
  };
  return { memento, rows, others, pipeline, head };
}

const texts = (count: number, text = "good"): string[] =>
  Array.from({ length: count }, (_, index) => `${text} ${index + 1}`);
const from = (start: number, all: string[]): string[] => all.slice(start);

describe("resetPipeline()", () => {
  test("takes all data back and forgets how far it was; history stays, and the reset can be rolled back", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.run(pipeline(20));
    const before = await head();
    const plan = await memento.planReset(pipeline(20));
    expect(plan).toMatchObject({ target: null, head: { id: before }, sinks: [{ remove: 20 }], stagesAgain: ["load"] });
    const { head: made, undo } = await memento.reset(pipeline(20), {
      plan: plan.hash,
      confirm: "load",
      by: "ann",
      why: "anew",
    });
    expect([...rows.rows]).toEqual([]);
    const empty = await memento.vault.load(made);
    expect(empty.entry).toMatchObject({ reason: "reset", status: "saved", generation: 1 });
    expect(empty.keys()).toEqual(["sink/rows"]);
    expect(empty.fields()["evidence"]).toMatchObject({ by: "ann", why: "anew", kind: "reset", target: null });
    await memento.run(pipeline(8));
    expect([...rows.rows]).toEqual(texts(8));
    const back = await memento.plan(pipeline(20), undo ?? "");
    await memento.rollback(pipeline(20), undo ?? "", { plan: back.hash });
    expect([...rows.rows]).toEqual(texts(20));
    expect(await (await memento.vault.load(await head())).value("state/last")).toBe("good 20");
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("is no place to wait at: no run is there that could be resumed", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    const { hash } = await memento.planReset(pipeline(10));
    const { head: empty, undo } = await memento.reset(pipeline(10), { plan: hash, confirm: "load" });
    const back = await memento.plan(pipeline(10), undo ?? "");
    await memento.rollback(pipeline(10), undo ?? "", { plan: back.hash });
    const [before, plan] = [await head(), await memento.plan(pipeline(10), empty)];
    const waiting = memento.rollback(pipeline(10), empty, { plan: plan.hash, paused: true });
    await expect(waiting).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("no run") as string,
    });
    expect(await head()).toBe(before);
    expect([...rows.rows]).toEqual(texts(10));
  });

  test("can leave the data where it is", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    const plan = await memento.planReset(pipeline(10), { keepData: true });
    expect(plan.sinks).toEqual([]);
    await memento.reset(pipeline(10), { plan: plan.hash, confirm: "load", keepData: true });
    expect((await memento.vault.load(await head())).keys()).toEqual(["sink/rows"]);
    await memento.run(pipeline(3, "again"));
    expect([...rows.rows]).toEqual([...texts(10), ...texts(3, "again")]);
  });

  test("asks for the name, and for a plan that has not moved", async () => {
    const { memento, rows, pipeline } = await bench();
    await memento.run(pipeline(10));
    const { hash } = await memento.planReset(pipeline(10));
    await expect(memento.reset(pipeline(10), { plan: hash, confirm: "lod" })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await memento.run(pipeline(12));
    await expect(memento.reset(pipeline(10), { plan: hash, confirm: "load" })).rejects.toMatchObject({
      code: "PLAN_MOVED",
    });
    expect([...rows.rows]).toEqual(texts(12));
  });

  test.each([true, "secure"] as const)("purge: %s leaves one memento, and no way back", async (purge) => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    const pinned = await head();
    await memento.caretaker("pipelines").pin(pinned);
    const { hash } = await memento.planReset(pipeline(10));
    await expect(memento.reset(pipeline(10), { plan: hash, confirm: "load", purge })).rejects.toMatchObject({
      code: "CONFLICT",
    });
    expect([...rows.rows]).toEqual(texts(10));
    await memento.caretaker("pipelines").unpin(pinned);
    const result = await memento.reset(pipeline(10), { plan: hash, confirm: "load", purge });
    expect(result).toMatchObject({ undo: null, purged: 3 });
    const left: string[] = [];
    for await (const { id } of memento.history({ name: "load" })) left.push(id);
    expect(left).toEqual([result.head]);
    await memento.collect();
    expect(await memento.verify()).toMatchObject({ sound: true });
    await memento.run(pipeline(4));
    expect([...rows.rows]).toEqual(texts(4));
  });
});

describe("adoptPipeline()", () => {
  test("a fork that wrote nothing: its offsets, state and outputs become the head of where it came from", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.fork(await head(), { name: "try" });
    await memento.run(pipeline(20, "bad"));
    await memento.run(pipeline(15, "dry", false), { fork: "try" });
    const plan = await memento.planAdoption(pipeline(20), { fork: "try" });
    expect(plan).toMatchObject({
      forkData: [],
      forkPlan: null,
      content: { id: await head("try") },
      sinks: [{ remove: 10 }],
      state: ["last"],
    });
    const { head: made, undo } = await memento.adopt(pipeline(20), {
      fork: "try",
      plan: plan.hash,
      why: "it was right",
    });
    expect([...rows.rows]).toEqual(texts(10));
    const adopted = await memento.vault.load(made);
    expect(adopted.entry).toMatchObject({ reason: "adopt", status: "completed", generation: 1 });
    expect(await adopted.value("offsets/ids")).toEqual({ "0": 15 });
    expect(await adopted.value("state/last")).toBe("dry 15");
    await memento.run(pipeline(18, "late"));
    expect([...rows.rows]).toEqual([...texts(10), "late 16", "late 17", "late 18"]);
    const back = await memento.plan(pipeline(20), undo);
    await memento.rollback(pipeline(20), undo, { plan: back.hash });
    expect([...rows.rows]).toEqual([...texts(10), ...from(10, texts(20, "bad"))]);
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("a fork that wrote is refused by name; rerun takes its rows out, and the next run writes them anew", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.fork(await head(), { name: "try" });
    await memento.run(pipeline(20, "bad"));
    await memento.run(pipeline(20, "mended"), { fork: "try" });
    const refused = await memento.planAdoption(pipeline(20), { fork: "try" });
    expect(refused.forkData).toMatchObject([{ kind: "sink", name: "rows", entries: 10 }]);
    const all = [...rows.rows];
    await expect(memento.adopt(pipeline(20), { fork: "try", plan: refused.hash })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      message: expect.stringContaining("sink rows (10 of rows in memory)") as string,
    });
    expect([...rows.rows]).toEqual(all);
    const plan = await memento.planAdoption(pipeline(20), { fork: "try", rerun: true });
    expect(plan.forkPlan).toMatchObject({ sinks: [{ remove: 10 }] });
    await memento.adopt(pipeline(20), { fork: "try", plan: plan.hash, rerun: true });
    expect([...rows.rows]).toEqual(texts(10));
    await memento.run(pipeline(20, "mended"));
    expect([...rows.rows]).toEqual([...texts(10), ...from(10, texts(20, "mended"))]);
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  test("what a fork wrote at a place that its sink no longer has is named, and stays", async () => {
    const { memento, rows, others, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.fork(await head(), { name: "try" });
    const [aside, later] = [new MemoryTable<string>(), new MemoryTable<string>()];
    others.set("aside", aside).set("later", later);
    await memento.run(pipeline(20, "tried"), { fork: "try", params: { into: "aside" } });
    await memento.run(pipeline(20), { fork: "try", params: { into: "later" } });
    const { hash, forkData } = await memento.planAdoption(pipeline(20), { fork: "try" });
    expect(forkData).toEqual([{ kind: "sink", name: "rows", where: `another place (${aside.place})`, entries: null }]);
    await memento.adopt(pipeline(20), { fork: "try", plan: hash });
    expect([...aside.rows]).toEqual(from(10, texts(20, "tried")));
    expect([...rows.rows]).toEqual(texts(10));
  });

  test("rerun takes out what a fork wrote by parameters of its own", async () => {
    const { memento, rows, others, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.fork(await head(), { name: "try" });
    const aside = new MemoryTable<string>();
    others.set("aside", aside);
    await memento.run(pipeline(20, "tried"), { fork: "try", params: { into: "aside" } });
    const { hash, forkPlan } = await memento.planAdoption(pipeline(20), { fork: "try", rerun: true });
    expect(forkPlan).toMatchObject({ sinks: [{ remove: 10 }], refused: [] });
    await memento.adopt(pipeline(20), { fork: "try", plan: hash, rerun: true });
    expect([...aside.rows]).toEqual([]);
    expect([...rows.rows]).toEqual(texts(10));
  });

  test.each(["has begun another run", "was reset"])(
    "a run that was under way at the fork goes on with its own parameters where the origin %s since",
    async (since) => {
      const { memento, rows, others, pipeline, head } = await bench();
      await memento.run(pipeline(10), { params: { into: "main" } });
      const start = await Array.fromAsync(memento.history({ name: "load" }));
      const aside = new MemoryTable<string>();
      others.set("aside", aside);
      const params = { into: "aside" };
      await memento.fork(start.at(-1)?.id ?? "", { name: "try", params });
      await memento.run(pipeline(20, "tried"), { fork: "try" });
      if (since === "was reset") {
        const { hash } = await memento.planReset(pipeline(10));
        await memento.reset(pipeline(10), { plan: hash, confirm: "load" });
      } else await memento.run(pipeline(12), { params: { into: "main" } });
      const { hash } = await memento.planAdoption(pipeline(20), { fork: "try", rerun: true });
      await memento.adopt(pipeline(20), { fork: "try", plan: hash, rerun: true });
      const adopted = await memento.vault.load(await head());
      expect(await adopted.value("run")).toMatchObject({ params: { into: "main" } });
      expect(await memento.run(pipeline(5, "anew"))).toMatchObject({ resumed: true, status: "completed" });
      expect([...rows.rows]).toEqual(texts(5, "anew"));
      expect([...aside.rows]).toEqual([]);
    },
  );

  test("refuses what is no fork, and a plan whose fork has moved", async () => {
    const { memento, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await expect(memento.planAdoption(pipeline(10), { fork: "" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await memento.fork(await head(), { name: "try" });
    const { hash } = await memento.planAdoption(pipeline(10), { fork: "try" });
    await memento.run(pipeline(12, "dry", false), { fork: "try" });
    await expect(memento.adopt(pipeline(10), { fork: "try", plan: hash })).rejects.toMatchObject({
      code: "PLAN_MOVED",
    });
  });
});
