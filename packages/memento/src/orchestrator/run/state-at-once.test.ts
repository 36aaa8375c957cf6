import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import type { CheckpointPolicy, StageContext } from "../pipeline/stage.ts";
import { memorySink } from "../sinks/index.ts";

/** Lets others go on for some turns. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve));
}

type Code = (context: StageContext) => void;

/** A pipeline inside another one, with two stages at once. */
async function inside(x: Code, y: Code, checkpoint: CheckpointPolicy = "stage"): Promise<unknown> {
  const { memento } = await bench();
  const child = definePipeline({
    name: "child",
    version: "1",
    checkpoint,
    stages: (stage) => [
      stage.task("x", async (context) => {
        x(context);
        await turns(3);
      }),
      stage.task("y", { checkpoint: "stage" }, async (context) => {
        y(context);
        await turns(10);
      }),
    ],
  });
  const parent = definePipeline({
    name: "parent",
    version: "1",
    concurrency: 2,
    stages: (stage) => [stage.pipeline("part", child)],
  });
  const { head } = await memento.run(parent);
  return Object.fromEntries(await (await memento.vault.load(head)).values("state/"));
}

describe("the state of a pipeline inside, at once", () => {
  test.each(["stage", "off"] as const)("is merged key by key (%s)", async (checkpoint) => {
    const set =
      (key: string, value: number): Code =>
      ({ state }) =>
        void (state[key] = value);
    expect(await inside(set("x", 1), set("y", 2), checkpoint)).toEqual({ "part.": { x: 1, y: 2 } });
  });

  test("is nothing that a stage has changed which only read it", async () => {
    const read: Code = ({ state }) => void state["y"];
    const set: Code = ({ state }) => void (state["y"] = 2);
    expect(await inside(read, set)).toEqual({ "part.": { y: 2 } });
    expect(await inside(read, read)).toEqual({});
  });

  test("is refused by the name of a key that both have changed", async () => {
    const set =
      (value: number): Code =>
      ({ state }) =>
        void (state["n"] = value);
    await expect(inside(set(1), set(2))).rejects.toMatchObject({
      code: "STATE_CONFLICT",
      details: { key: "part.n" },
    });
  });

  test("is merged for the items of a list", async () => {
    const { memento } = await bench();
    const child = definePipeline({
      name: "child",
      version: "1",
      stages: (stage) => [
        stage.each("e", { items: () => upTo(3), concurrency: 3 }, async ({ state }, n) => {
          state[`k${n}`] = n;
          await turns(2);
        }),
      ],
    });
    const parent = definePipeline({
      name: "parent",
      version: "1",
      stages: (stage) => {
        const part = stage.pipeline("part", child);
        return [part, stage.task("end", { after: [part] }, ({ state }) => state["part."])];
      },
    });
    expect(await (await memento.run(parent)).output("end")).toEqual({ k1: 1, k2: 2, k3: 3 });
  });
});

describe("names that every object inherits", () => {
  test.each([1, 2])("are keys of the state like others (%i at once)", async (concurrency) => {
    const { memento } = await bench();
    const pipeline = definePipeline({
      name: "cars",
      version: "1",
      concurrency,
      stages: (stage) => {
        const set = stage.task("set", ({ state }) => void Object.assign(state, { constructor: "Ferrari", n: 1 }));
        const drop = stage.task("drop", { after: [set] }, ({ state }) => {
          const { constructor: was } = state;
          Reflect.deleteProperty(state, "constructor");
          return was;
        });
        return [set, drop];
      },
    });
    const { head, output } = await memento.run(pipeline);
    expect(await output("drop")).toBe("Ferrari");
    expect(Object.fromEntries(await (await memento.vault.load(head)).values("state/"))).toEqual({ n: 1 });
  });

  test.each(["constructor", "toString"])("are names of flow stages like others: %s", async (name) => {
    const { memento, data } = await bench();
    const pipeline = definePipeline({
      name: "flow",
      version: "1",
      sources: { numbers: () => numbers(5) },
      sinks: { out: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        return [read, stage.write(name, { after: read, sink: "out" })];
      },
    });
    const result = await memento.run(pipeline);
    expect(await result.output(name)).toMatchObject({ recordsIn: 5 });
    expect(rowsOf(data)).toEqual(upTo(5));
  });
});
