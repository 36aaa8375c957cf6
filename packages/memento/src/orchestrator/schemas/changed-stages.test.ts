import { describe, expect, test } from "vitest";

import { bench, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink } from "../sinks/index.ts";

describe("a list", () => {
  test("that is under way must stay one: its items that are done would be done again", async () => {
    const { memento, data } = await bench();
    const listed = (type: "each" | "task"): Pipeline =>
      definePipeline({
        name: "list",
        version: "1",
        sinks: { table: () => memorySink<Row>({ table: data }) },
        stages: (stage) => [
          type === "task"
            ? stage.task("load", async (context) => await context.write("table", [{ n: 1 }, { n: 2 }]))
            : stage.each("load", { items: () => [1, 2] }, async (context, n) => {
                if (n === 2) throw new Error("once");
                await context.write("table", [{ n }]);
              }),
        ],
      });
    await expect(memento.run(listed("each"))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const problem = expect.stringContaining("stage load was a list under way, and is none now") as string;
    await expect(memento.run(listed("task"))).rejects.toMatchObject({ code: "PIPELINE_CHANGED", message: problem });
    expect((await memento.check(listed("task"))).unreadable.at(-1)?.problems).toEqual([problem]);
    expect(rowsOf(data)).toEqual(upTo(1));
  });
});

describe("an approval that is waited for", () => {
  const asking = (name: string, was?: string): Pipeline =>
    definePipeline({
      name: "ask",
      version: "1",
      stages: (stage) => {
        const ready = stage.approval(name, was === undefined ? {} : { was });
        return [ready, stage.task("load", { after: { ready } }, (_context, input) => input.ready.by)];
      },
    });

  test.each(["before", "after"])(
    "is found where it is called otherwise by now, and was decided %s that",
    async (when) => {
      const { memento } = await bench();
      const { run } = await memento.run(asking("check"));
      const renamed = asking("release", "check");
      if (when === "before") await memento.approve(run, { by: "ann" });
      else {
        expect(await memento.run(renamed, { resume: true })).toMatchObject({ waitingFor: "release" });
        expect(await memento.approve(run, { by: "ann" })).toMatchObject({ stage: "release" });
      }
      const done = await memento.run(renamed);
      expect(done.status).toBe("completed");
      expect(await done.output("load")).toBe("ann");
    },
  );

  test("is forgotten with its stage, and stands in the way of no other one", async () => {
    const { memento } = await bench();
    const { run } = await memento.run(asking("check"));
    expect(await memento.run(asking("release"), { resume: true })).toMatchObject({ waitingFor: "release" });
    expect(await memento.approve(run, { by: "bob" })).toMatchObject({ stage: "release" });
    expect(await memento.run(asking("release"))).toMatchObject({ status: "completed" });
  });
});
