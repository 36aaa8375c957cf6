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

  /** Tasks in the order of their declaration, each with the names of those that it comes after. */
  const ordered = (stages: readonly (readonly [name: string, after: readonly string[]])[]): readonly string[] =>
    definePipeline({
      name: "ordered",
      version: "1",
      stages: (stage) => stages.map(([name, after]) => stage.task(name, { after }, () => 1)),
    }).stages.map(({ name }) => name);

  test.each<[order: string, stages: Readonly<Record<string, readonly string[]>>]>([
    ["a b c", { a: [], b: [], c: [] }],
    ["b a c", { a: ["b"], b: [], c: [] }],
    ["d c b a e", { a: ["b", "c"], b: ["c"], c: ["d"], d: [], e: ["a"] }],
    ["b d c a", { a: ["b", "c"], c: ["d", "b"], d: [], b: [] }],
  ])("puts stages after those that they need: %s", (order, stages) => {
    expect(ordered(Object.entries(stages))).toEqual(order.split(" "));
  });

  test("names the cycle of stages that need each other", () => {
    const define = (): unknown => ordered(Object.entries({ a: ["b"], b: ["x", "c"], x: [], c: ["d"], d: ["b"] }));
    expect(define).toThrow(expect.objectContaining({ code: "INVALID_PIPELINE" }));
    expect(define).toThrow("the stages need each other in a cycle: b -> c -> d -> b");
    expect(() => ordered([["a", ["a"]]])).toThrow("a -> a");
  });

  test("orders 10,000 stages of which each is declared before the one that it needs", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `s${index}`);
    const backwards = names.map((name, index) => [name, names.slice(index + 1, index + 2)] as const);
    expect(ordered(backwards)).toEqual(names.toReversed());
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
