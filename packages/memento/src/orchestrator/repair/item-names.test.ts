import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink } from "../sinks/index.ts";
import { iterableSource } from "../sources/index.ts";

interface Bench {
  readonly memento: Memento;
  readonly rows: MemoryTable<number>;
  readonly pipeline: (count: number) => Pipeline;
  readonly head: (fork?: string) => Promise<string>;
}

/** A source and a sink of one name; where its records cannot be read again the source says so. */
async function bench({ available = true }: { readonly available?: boolean } = {}): Promise<Bench> {
  const memento = await Memento.open(await MemoryStore.open());
  onTestFinished(async () => await memento.close());
  const rows = new MemoryTable<number>();
  const problem = available ? "" : "the records are gone";
  const pipeline = (count: number): Pipeline =>
    definePipeline({
      name: "load",
      version: "1",
      sources: {
        orders: () =>
          iterableSource<number>({
            name: "orders",
            inspect: () => ({ available, problem, recordsBetween: null }),
            async *records(from) {
              for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
            },
          }),
      },
      sinks: { orders: () => memorySink<number>({ table: rows, key: String }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "orders" });
        return [read, stage.write("load", { after: read, sink: "orders" })];
      },
    });
  const head = async (fork?: string): Promise<string> => {
    for await (const { id } of memento.history({ name: "load" }, fork === undefined ? {} : { fork })) return id;
    throw new Error("no head");
  };
  return { memento, rows, pipeline, head };
}

describe("a forced item", () => {
  test("is the one that is named, not another of the same name", async () => {
    const { memento, rows, pipeline, head } = await bench({ available: false });
    await memento.run(pipeline(10));
    const first = await head();
    await memento.run(pipeline(20));
    rows.set("15", 1500);
    const { hash, refused } = await memento.plan(pipeline(20), first);
    expect(refused).toEqual(["source:orders"]);
    const attempt = async (...force: string[]): Promise<unknown> =>
      await memento.rollback(pipeline(20), first, { plan: hash, force });
    const gone = { code: "NOT_REVERTIBLE", message: expect.stringContaining("records are gone") as string };
    await expect(attempt()).rejects.toMatchObject({ ...gone, details: { items: ["source:orders"] } });
    await expect(attempt("sink:orders")).rejects.toMatchObject(gone);
    await expect(attempt("orders")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `"orders" may be any of source:orders, sink:orders: give the one that is to be forced`,
    });
    await expect(attempt("order")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "The plan has no item order; it has source:orders, sink:orders",
    });
    await attempt("source:orders");
    expect(rows.items.get("15")).toBe(1500);
    expect(rows.items.get("14")).toBeUndefined();
  });

  test("is forced on the fork too by an adoption that takes out what it wrote", async () => {
    const { memento, rows, pipeline, head } = await bench();
    await memento.run(pipeline(10));
    await memento.fork(await head(), { name: "try" });
    await memento.run(pipeline(20), { fork: "try" });
    rows.set("15", 1500);
    const { hash } = await memento.planAdoption(pipeline(20), { fork: "try", rerun: true });
    await memento.adopt(pipeline(20), { fork: "try", plan: hash, rerun: true, force: ["sink:orders"] });
    expect([...rows.items.keys()].toSorted((a, b) => Number(a) - Number(b))).toEqual(
      Array.from({ length: 10 }, (_, index) => String(index + 1)),
    );
  });
});

describe("a chosen stage", () => {
  test("is the one of that name, not one whose name goes on behind it", async () => {
    const memento = await Memento.open(await MemoryStore.open());
    onTestFinished(async () => await memento.close());
    const ran: string[] = [];
    const names = ["2024", "2024/01", "20", "2024[0]"];
    const pipeline = definePipeline({
      name: "years",
      version: "1",
      credentials: {},
      stages: (stage) => names.map((name) => stage.task(name, () => ran.push(name))),
    });
    const { head } = await memento.run(pipeline);
    const only = ["stage:2024"];
    const { hash, stagesAgain } = await memento.plan(pipeline, head, { only });
    expect(stagesAgain).toEqual(["2024"]);
    await memento.rollback(pipeline, head, { plan: hash, only });
    ran.length = 0;
    await memento.run(pipeline);
    expect(ran).toEqual(["2024"]);
  });

  test("takes what its items have kept with it, and the stages of the pipeline that it stands for", async () => {
    const memento = await Memento.open(await MemoryStore.open());
    onTestFinished(async () => await memento.close());
    const ran: string[] = [];
    const child = definePipeline({
      name: "child",
      version: "1",
      stages: (stage) => {
        const made = stage.task("make", () => ran.push("make"));
        const options = { after: { made }, items: () => ["x", "y"], retry: { attempts: 2, initialMs: 0 } };
        const items = stage.each("a/b", options, (_context, item) => {
          ran.push(item);
          if (item === "y") throw new Error("y fails");
          return item;
        });
        return [made, items];
      },
    });
    const pipeline = definePipeline({
      name: "parent",
      version: "1",
      stages: (stage) => {
        const before = stage.task("before", () => ran.push("before"));
        return [before, stage.pipeline("in", child, { after: [before], params: () => ({}) })];
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(ran).toEqual(["before", "make", "x", "y", "y"]);
    for await (const { id } of memento.history(pipeline)) {
      const { hash, stagesAgain } = await memento.plan(pipeline, id, { only: ["stage:in"] });
      expect(stagesAgain).toEqual(["in.make", "in.a/b", "in"]);
      await memento.rollback(pipeline, id, { plan: hash, only: ["stage:in"] });
      break;
    }
    ran.length = 0;
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(ran).toEqual(["make", "x", "y", "y"]);
  });
});
