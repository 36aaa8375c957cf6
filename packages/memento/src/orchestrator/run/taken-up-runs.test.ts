import { parseArgs } from "node:util";

import { describe, expect, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";

describe("a run that is taken up", () => {
  test("is the same run for parameters without a prototype, as parseArgs gives them", async () => {
    const { memento } = await bench();
    let fails = true;
    const pipeline = definePipeline({
      name: "daily",
      version: "1",
      stages: (stage) => [
        stage.task("load", ({ params }) => {
          if (fails) throw new Error("the network hums");
          return params;
        }),
      ],
    });
    const options = { day: { type: "string" } } as const;
    const params = (): unknown => parseArgs({ args: ["--day", "2026-01-01"], options }).values;
    await expect(memento.run(pipeline, { params: params() })).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fails = false;
    const result = await memento.run(pipeline, { params: params() });
    expect(result.resumed).toBe(true);
    expect(await result.output("load")).toEqual({ day: "2026-01-01" });
  });

  test.each([[[]], [[1, 2]]])("goes on without a stage that was done for each of %j", async (items: number[]) => {
    const { memento } = await bench();
    const pipeline = (isWhole: boolean): Pipeline =>
      definePipeline({
        name: "shorter",
        version: "1",
        stages: (stage) => [
          ...(isWhole ? [stage.each("each", { items: () => items }, (_context, item) => item)] : []),
          stage.task("end", () => {
            if (isWhole) throw new Error("the network hums");
          }),
        ],
      });
    await expect(memento.run(pipeline(true))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(await memento.run(pipeline(false))).toMatchObject({ status: "completed", resumed: true });
  });
});
