import { describe, expect, test } from "vitest";

import { memorySink, MemoryTable } from "../sinks/index.ts";
import { definePipeline, type Pipeline } from "./pipeline.ts";

type Names = Readonly<Record<string, string | readonly string[]>>;

/** A pipeline of tasks, each with the names that it had before; a child's come in as `part`. */
function named(stages: Names, child?: Pipeline): Pipeline {
  return definePipeline({
    name: "named",
    version: "1",
    stages: (stage) => [
      ...Object.entries(stages).map(([name, was]) => stage.task(name, { was }, () => 1)),
      ...(child === undefined ? [] : [stage.pipeline("part", child)]),
    ],
  });
}

describe("definePipeline()", () => {
  test.each<[problem: string, stages: Names, child?: Names]>([
    ["the stage b was a, and a stage is called a now", { a: [], b: "a" }],
    ["the stage a was b, and a stage is called b now", { a: "b", b: "a" }],
    ["the stages a and b both were old", { a: "old", b: ["older", "old"] }],
    ["the stage moved was part.load, and a stage is called part.load now", { moved: "part.load" }, { load: [] }],
    ["the stages moved and part.load both were part.old", { moved: "part.old" }, { load: "old" }],
    ["the stage moved was part, and a stage is called part now", { moved: "part" }, { load: [] }],
  ])("refuses names of before that say nothing for certain: %s", (problem, stages, child) => {
    const define = (): Pipeline => named(stages, child === undefined ? undefined : named(child));
    expect(define).toThrow(expect.objectContaining({ code: "INVALID_PIPELINE" }));
    expect(define).toThrow(problem);
  });

  test("refuses a stage that is called like an item of another one", () => {
    const define = (name: string): Pipeline =>
      definePipeline({
        name: "items",
        version: "1",
        stages: (stage) => [stage.each("load", { items: () => [1] }, () => 1), stage.task(name, () => 1)],
      });
    expect(() => define("load[0]")).toThrow(
      expect.objectContaining({
        code: "INVALID_PIPELINE",
        message: "Pipeline items: the stage load[0] is called like an item of the stage load",
      }),
    );
    expect(define("load[a]").stages).toHaveLength(2);
  });

  test("refuses a sink that a pipeline inside has under the same name, and says who the two are", () => {
    const sink = () => memorySink<never>({ table: new MemoryTable<never>() });
    const child = definePipeline({ name: "child", version: "1", sinks: { out: sink }, stages: () => [] });
    const sinks = { "part.out": sink };
    const define = (): Pipeline =>
      definePipeline({ name: "parent", version: "1", sinks, stages: (stage) => [stage.pipeline("part", child)] });
    expect(define).toThrow(expect.objectContaining({ code: "INVALID_PIPELINE" }));
    expect(define).toThrow("pipeline parent itself and the pipeline inside as part both have the sink part.out");
  });

  test("takes a stage that has its old name again, and the same old names in a pipeline and one inside", () => {
    expect(named({ a: ["b", "a", "b"] }).stages.map(({ was }) => was)).toEqual([["b", "a", "b"]]);
    expect(named({ a: "old" }, named({ a: "old" })).stages.map(({ was }) => was)).toEqual([["old"], ["part.old"], []]);
  });
});
