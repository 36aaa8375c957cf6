import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Bench, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink } from "../sinks/index.ts";
import type { ValueSchema } from "./value-schema.ts";

/** What one version of the code says of its state, and what it does with it. */
interface Code {
  readonly version: string;
  readonly schema?: ValueSchema;
  readonly offsets?: ValueSchema;
  readonly output?: ValueSchema;
  readonly count: (state: Record<string, unknown>, n: number) => void;
  readonly extract?: () => unknown;
  readonly report?: (input: unknown, state: Record<string, unknown>) => unknown;
  /** Throws at this number, once. */
  readonly failAt?: number;
  readonly stages?: Pipeline["stages"];
}

function load({ data }: Bench, code: Code): Pipeline {
  let failAt = code.failAt ?? 0;
  return definePipeline({
    name: "load",
    version: code.version,
    ...(code.schema === undefined ? {} : { schema: code.schema }),
    ...(code.offsets === undefined ? {} : { offsetSchemas: { numbers: code.offsets } }),
    batchRecords: 5,
    checkpoint: { records: 5 },
    sources: { numbers: () => numbers(30) },
    sinks: { table: () => memorySink<Row>({ table: data }) },
    stages: (stage) => {
      const options = code.output === undefined ? {} : { schema: code.output };
      const extract = stage.task("extract", options, () => code.extract?.() ?? { sum: 1 });
      const copy = stage.task("copy", { after: { extract } }, async (context) => {
        for await (const { records } of context.read("numbers")) {
          for (const { n } of records as Row[]) {
            if (n === failAt) {
              failAt = 0;
              throw new Error("once");
            }
            code.count(context.state, n);
          }
          await context.write("table", records);
        }
      });
      const report = stage.task("report", { after: { extract, copy } }, (context, input) =>
        code.report?.(input.extract, context.state),
      );
      return [extract, copy, report];
    },
  });
}

const first: Code = {
  version: "1",
  count: (state, n) => void (state["sum"] = Number(state["sum"] ?? 0) + n),
  failAt: 18,
};
const toTotal = { 1: ({ sum }: { sum: number }) => ({ total: { value: sum } }) };
const second: Code = {
  version: "2",
  schema: { id: "state", version: 2, upcasters: toTotal },
  output: { id: "extract", version: 2, upcasters: { 1: ({ sum }: { sum: number }) => ({ rows: [sum] }) } },
  extract: () => ({ rows: [1] }),
  count: (state, n) => {
    const total = state["total"] as { value: number };
    state["total"] = { value: total.value + n };
  },
  report: (input, state) => ({ input, state: { ...state } }),
};
const SUM = (30 * 31) / 2;

describe("schema versions", () => {
  test("an unfinished run goes on under the code's version: state and outputs are cast, and what was saved stays as it is", async () => {
    const made = await bench();
    const { memento, data } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const pipeline = load(made, second);
    const result = await memento.run(pipeline);
    expect(result).toMatchObject({ status: "completed", resumed: true, skipped: ["extract"] });
    expect(await result.output("report")).toEqual({ input: { rows: [1] }, state: { total: { value: SUM } } });
    expect(rowsOf(data)).toEqual(upTo(30));
    const reasons: string[] = [];
    for await (const { id, reason, resumeCount } of memento.history(pipeline)) {
      reasons.push(reason);
      const opened = await memento.vault.load(id);
      const keys = opened.keys("state/");
      if (reason === "upcast") expect(resumeCount).toBe(0);
      if (reason === "upcast")
        expect(opened.fields()["adapted"]).toEqual({ by: "2", changes: ["the state is of version 2 of state"] });
      if (reasons.includes("upcast") && reason !== "upcast") expect(keys).not.toContain("state/total");
      else expect(keys).toEqual(["state/total"]);
      // An output is never rewritten: it is cast each time when it is read.
      if (opened.has("output/extract")) expect(await opened.value("output/extract")).toEqual({ sum: 1 });
    }
    expect(reasons.filter((reason) => reason === "upcast")).toHaveLength(1);
  });

  test("code that was put back reads what newer code has saved, where it has the way down", async () => {
    const made = await bench();
    const { memento } = made;
    await memento.run(load(made, { ...first, failAt: 0 }));
    await memento.run(load(made, { ...second, schema: { id: "state", version: 2, upcasters: toTotal } }));
    const back = load(made, first);
    await expect(memento.run({ ...back, schema: { id: "state", version: 1 } })).rejects.toMatchObject({
      code: "SCHEMA_UNREADABLE",
      message: expect.stringContaining("no downcaster from version 2"),
    });
    const downcasters = { 2: ({ total }: { total: { value: number } }) => ({ sum: total.value }) };
    const result = await memento.run({ ...back, schema: { id: "state", version: 1, downcasters } });
    expect(result.status).toBe("completed");
  });

  test("offsets are cast before the first read", async () => {
    const made = await bench();
    const { memento, data } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const offsets: ValueSchema = {
      id: "numbers",
      version: 2,
      // The newer source counts from 0.
      upcasters: { 1: (offset: Record<string, number>) => ({ "0": Number(offset["0"]) - 5 }) },
    };
    const again = load(made, { ...first, version: "2", offsets, failAt: 0 });
    expect(await memento.run(again)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data).length).toBe(35);
  });

  test("a memento that cannot be cast stops the run before anything is touched", async () => {
    const made = await bench();
    const { memento, data } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const rows = rowsOf(data);
    const gap = load(made, { ...second, schema: { id: "state", version: 3, upcasters: toTotal } });
    await expect(memento.run(gap)).rejects.toMatchObject({ code: "SCHEMA_UNREADABLE" });
    expect(rowsOf(data)).toEqual(rows);
  });

  test("a caster that gives no object leaves state and offsets as they are: the run stops", async () => {
    const made = await bench();
    const { memento, store } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const commits = async (): Promise<number> => (await Array.fromAsync(store.commits(null))).length;
    const before = await commits();
    const schema = (given: unknown): ValueSchema => ({ id: "it", version: 2, upcasters: { 1: () => given } });
    for (const [code, item] of [
      [{ ...second, schema: schema(undefined) }, "the state"],
      [{ ...second, schema: schema([1]) }, "the state"],
      [{ ...first, offsets: schema(undefined) }, "the offsets of source numbers"],
    ] as const) {
      const refused = { code: "SCHEMA_UNREADABLE", message: expect.stringContaining(`${item} could not be made`) };
      await expect(memento.run(load(made, code))).rejects.toMatchObject(refused);
      expect((await memento.check(load(made, code))).unreadable.at(-1)).toMatchObject({ isHead: true });
    }
    expect(await commits()).toBe(before);
  });

  test("a stage that is not done has no output, and nothing is cast", async () => {
    const { memento } = await bench();
    const schema: ValueSchema = { id: "sums", version: 2, upcasters: toTotal };
    const pipeline = definePipeline({
      name: "waits",
      version: "1",
      stages: (stage) => {
        const asked = stage.approval("asked");
        return [asked, stage.task("add", { after: { asked }, schema }, () => ({ total: { value: 1 } }))];
      },
    });
    const result = await memento.run(pipeline);
    expect([result.status, await result.output("add")]).toEqual(["paused", undefined]);
  });

  test("a rollback takes the stamps back with the values", async () => {
    const made = await bench();
    const { memento } = made;
    const old = await memento.run(load(made, { ...first, failAt: 0 }));
    const pipeline = load(made, second);
    await memento.run(pipeline);
    const plan = await memento.plan(pipeline, old.head);
    expect(plan.casts).toEqual(["the state is of version 2 of state"]);
    const unable = await memento.plan({ ...pipeline, schema: { id: "state", version: 2 } }, old.head);
    expect(unable.warnings).toEqual([expect.stringContaining("no upcaster from version 1")]);
    await memento.rollback(pipeline, old.head, { plan: plan.hash });
    expect(await memento.run(pipeline, { fresh: true })).toMatchObject({ status: "completed" });
    const check = await memento.check(pipeline);
    expect(check.unreadable).toEqual([]);
  });
});

describe("check()", () => {
  test("names each memento that changed code cannot read, and counts those that it casts", async () => {
    const made = await bench();
    const { memento } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const fine = await memento.check(load(made, second));
    expect(fine).toMatchObject({ pipeline: "load", version: "2", timelines: 1, unreadable: [] });
    expect(fine.adapted).toBeGreaterThan(2);
    const gap = load(made, { ...second, schema: { id: "state", version: 3, upcasters: toTotal } });
    const { unreadable, mementos } = await memento.check(gap);
    // The first ones have no state yet.
    expect(unreadable.length).toBeLessThan(mementos);
    expect(unreadable.at(-1)).toMatchObject({
      isHead: true,
      problems: [expect.stringContaining("the state was saved as state version 1")],
    });
    expect(unreadable.filter(({ isHead }) => isHead)).toHaveLength(1);
  });
});

describe("a pipeline whose stages have changed", () => {
  interface Steps {
    readonly names: readonly string[];
    readonly was?: Readonly<Record<string, string>>;
    readonly fails?: string;
  }

  /** A chain of tasks; each gives the names of those before it, and its own. */
  function chain({ names, was = {}, fails }: Steps): Pipeline {
    return definePipeline({
      name: "chain",
      version: names.join(""),
      stages: (stage) => {
        const made: ReturnType<typeof stage.task>[] = [];
        for (const name of names) {
          const before = made.at(-1);
          const options = {
            ...(was[name] === undefined ? {} : { was: was[name] }),
            ...(before === undefined ? {} : { after: { before } }),
          };
          made.push(
            stage.task(name, options, (_context, input: Readonly<Record<string, unknown>>) => {
              if (name === fails) throw new Error("not yet");
              return [...((input["before"] ?? []) as string[]), name];
            }),
          );
        }
        return made;
      },
    });
  }

  const unfinished = { names: ["a", "b", "c"], fails: "c" };

  async function halfDone(): Promise<Bench> {
    const made = await bench();
    await expect(made.memento.run(chain(unfinished))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    return made;
  }

  test("one that is added at the end runs; one that was done and is gone does no harm", async () => {
    const { memento } = await halfDone();
    const result = await memento.run(chain({ names: ["b", "c", "d"] }));
    expect(result).toMatchObject({ status: "completed", resumed: true, skipped: ["a", "b"] });
    expect(await result.output("d")).toEqual(["a", "b", "c", "d"]);
  });

  test("one that was done under an older name is not done again", async () => {
    const { memento } = await halfDone();
    const result = await memento.run(chain({ names: ["extract", "b", "c"], was: { extract: "a" } }));
    expect(result.skipped.toSorted()).toEqual(["b", "extract"]);
    expect([await result.output("extract"), await result.output("a"), await result.output("c")]).toEqual([
      ["a"],
      undefined,
      ["a", "b", "c"],
    ]);
  });

  test("a run that was done before gives its outputs under the names of now", async () => {
    const { memento } = await bench();
    await memento.run(chain({ names: ["a", "b"] }), { key: "may" });
    const result = await memento.run(chain({ names: ["extract", "b"], was: { extract: "a" } }), { key: "may" });
    expect(result).toMatchObject({ alreadyDone: true });
    expect([await result.output("extract"), await result.output("b")]).toEqual([["a"], ["a", "b"]]);
  });

  test("one that is new before a stage that is done refuses the run by name; the check says so too", async () => {
    const { memento, store } = await halfDone();
    const changed = chain({ names: ["a", "new", "b", "c"] });
    const commits = async (): Promise<number> => (await Array.fromAsync(store.commits(null))).length;
    const before = await commits();
    await expect(memento.run(changed)).rejects.toMatchObject({
      code: "PIPELINE_CHANGED",
      message: expect.stringContaining("stage b is done, and now comes after new, which is not"),
    });
    expect(await commits()).toBe(before);
    const { unreadable } = await memento.check(changed);
    expect(unreadable.at(-1)?.problems).toEqual([expect.stringContaining("comes after new")]);
    expect(await memento.run(changed, { fresh: true })).toMatchObject({ status: "completed" });
  });

  test("a flow that was under way must have the stages that it had", async () => {
    const made = await bench();
    const flow = (names: readonly string[], failAt = 0): Pipeline => {
      let fails = failAt;
      return definePipeline({
        name: "flow",
        version: names.join(),
        batchRecords: 5,
        checkpoint: { records: 5 },
        sources: { numbers: () => numbers(20) },
        sinks: { table: () => memorySink<Row>({ table: made.data }) },
        stages: (stage) => {
          const read = stage.read("read", { source: "numbers" });
          const maps = names.map((name) =>
            stage.map(name, {
              after: read,
              run: (record: Row) => {
                if (record.n === fails) {
                  fails = 0;
                  throw new Error("once");
                }
                return record;
              },
            }),
          );
          const [last = read] = maps.toReversed();
          return [read, ...maps, stage.write("write", { after: last, sink: "table" })];
        },
      });
    };
    await expect(made.memento.run(flow(["shape"], 12))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await expect(made.memento.run(flow(["shape", "more"]))).rejects.toMatchObject({
      code: "PIPELINE_CHANGED",
      message: expect.stringContaining("under way without stage more"),
    });
    await expect(made.memento.run(flow(["other"]))).rejects.toMatchObject({
      message: expect.stringContaining("with stage shape, which it has no more"),
    });
    expect(await made.memento.run(flow(["shape"]))).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(made.data)).toEqual(upTo(20));
  });

  test("a flow with a branch that was passed over goes on", async () => {
    const { memento, data } = await bench();
    let fails = 12;
    const pipeline = definePipeline({
      name: "branches",
      version: "1",
      batchRecords: 5,
      checkpoint: { records: 5 },
      sources: { numbers: () => numbers(20) },
      sinks: { table: () => memorySink<Row>({ table: data }), other: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        const run = (record: Row): Row => {
          if (record.n !== fails) return record;
          fails = 0;
          throw new Error("once");
        };
        const other = stage.map("other", { after: read, when: () => false, run });
        const shape = stage.map("shape", { after: read, run });
        return [
          read,
          other,
          stage.write("write other", { after: other, sink: "other" }),
          shape,
          stage.write("write", { after: shape, sink: "table" }),
        ];
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect((await memento.check(pipeline)).unreadable).toEqual([]);
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(20));
  });

  test("a stage that is under way cannot be renamed", async () => {
    const made = await bench();
    const { memento } = made;
    await expect(memento.run(load(made, first))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const renamed = load(made, first);
    const stages = renamed.stages.map((stage) =>
      stage.name === "copy"
        ? { ...stage, name: "move", was: ["copy"] }
        : { ...stage, after: stage.after.map((name) => (name === "copy" ? "move" : name)) },
    );
    await expect(memento.run({ ...renamed, stages })).rejects.toMatchObject({
      code: "PIPELINE_CHANGED",
      message: expect.stringContaining("stage copy was under way, and is called move now"),
    });
  });
});
