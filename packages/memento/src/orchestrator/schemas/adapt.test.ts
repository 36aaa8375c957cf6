import { describe, expect, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { ValueSchema } from "./value-schema.ts";

describe("the state of a pipeline inside another one", () => {
  const schema: ValueSchema = { id: "part", version: 2 };

  /** A pipeline with one inside that counts its runs in its state, which has that schema; with null, without that pipeline. */
  function whole(inner: { readonly schema?: ValueSchema } | null): Pipeline {
    const child = definePipeline({
      name: "counter",
      version: "1",
      ...inner,
      stages: (stage) => [stage.task("count", ({ state }) => (state["runs"] = Number(state["runs"] ?? 0) + 1))],
    });
    return definePipeline({
      name: "whole",
      version: "1",
      stages: (stage) => (inner === null ? [stage.task("none", () => 0)] : [stage.pipeline("part", child)]),
    });
  }

  test("is refused by name where its schema is gone from the code, and no first version", async () => {
    const { memento, store } = await bench();
    await memento.run(whole({ schema }));
    const commits = async (): Promise<number> => (await Array.fromAsync(store.commits(null))).length;
    const before = await commits();
    const message = expect.stringContaining(
      "the state of pipeline part was saved as part version 2, and the code has no schema for it",
    );
    await expect(memento.run(whole({}))).rejects.toMatchObject({ code: "SCHEMA_UNREADABLE", message });
    const { unreadable } = await memento.check(whole({}));
    expect(unreadable.at(-1)).toMatchObject({ isHead: true, problems: [message] });
    expect(await commits()).toBe(before);
    expect(await (await memento.run(whole({ schema }))).output("part.count")).toBe(2);
  });

  test("is nobody's where the pipeline is gone, and there again when that comes back", async () => {
    const { memento } = await bench();
    await memento.run(whole({ schema }));
    expect((await memento.check(whole(null))).unreadable).toEqual([]);
    expect(await memento.run(whole(null))).toMatchObject({ status: "completed" });
    await expect(memento.run(whole({}))).rejects.toMatchObject({ code: "SCHEMA_UNREADABLE" });
    expect(await (await memento.run(whole({ schema }))).output("part.count")).toBe(2);
  });

  test("of the first version needs no schema", async () => {
    const { memento } = await bench();
    await memento.run(whole({ schema: { id: "part", version: 1 } }));
    expect(await (await memento.run(whole({}))).output("part.count")).toBe(2);
  });
});

describe("the state of a pipeline with one inside", () => {
  /** Each keeps one number, the outer one under another name from version 2 on. */
  function whole(
    key: "sum" | "total",
    schemas: { readonly outer?: ValueSchema; readonly inner?: ValueSchema },
  ): Pipeline {
    const child = definePipeline({
      name: "counter",
      version: "1",
      ...(schemas.inner === undefined ? {} : { schema: schemas.inner }),
      stages: (stage) => [
        stage.task("count", ({ state }) => {
          state["runs"] = Number(state["runs"] ?? 0) + 1;
          return { ...state };
        }),
      ],
    });
    return definePipeline({
      name: "whole",
      version: "1",
      ...(schemas.outer === undefined ? {} : { schema: schemas.outer }),
      stages: (stage) => [
        stage.task("add", ({ state }) => (state[key] = Number(state[key] ?? 0) + 1)),
        stage.pipeline("part", child),
      ],
    });
  }

  const given: unknown[] = [];
  const outer: ValueSchema = {
    id: "outer",
    version: 2,
    upcasters: {
      1: (state: { sum: number }) => {
        given.push(state);
        return { total: state.sum };
      },
    },
  };
  const inner: ValueSchema = {
    id: "inner",
    version: 2,
    upcasters: { 1: (state: object) => ({ ...state, cast: true }) },
  };

  test.each([
    ["stays", { outer }, { runs: 2 }],
    ["is cast by its own", { outer, inner }, { runs: 2, cast: true }],
  ])("is cast without that of the one inside, which %s", async (_what, schemas, counted) => {
    const { memento } = await bench();
    await memento.run(whole("sum", {}));
    const result = await memento.run(whole("total", schemas));
    expect([await result.output("add"), await result.output("part.count")]).toEqual([2, counted]);
    expect(given.splice(0)).toEqual([{ sum: 1 }]);
    expect((await memento.vault.load(result.head)).keys("state/").toSorted()).toEqual(["state/part.", "state/total"]);
  });
});

test("a caster that changes its value in place leaves nothing of before either", async () => {
  const { memento } = await bench();
  const pipeline = (key: string, schema?: ValueSchema): Pipeline =>
    definePipeline({
      name: "sums",
      version: "1",
      ...(schema === undefined ? {} : { schema }),
      stages: (stage) => [stage.task("add", ({ state }) => (state[key] = Number(state[key] ?? 0) + 1))],
    });
  await memento.run(pipeline("sum"));
  const upcasters = {
    1: (state: Record<string, unknown>) => {
      state["total"] = state["sum"];
      delete state["sum"];
      return state;
    },
  };
  const cast = pipeline("total", { id: "sums", version: 2, upcasters });
  const [first, second] = [await memento.run(cast), await memento.run(cast)];
  expect([await first.output("add"), await second.output("add")]).toEqual([2, 3]);
  expect((await memento.vault.load(second.head)).keys("state/")).toEqual(["state/total"]);
});
