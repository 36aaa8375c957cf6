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
