import { describe, expect, test } from "vitest";

import { definePipeline } from "../pipeline/pipeline.ts";
import { RunStamps } from "./pipeline-schemas.ts";

describe("RunStamps", () => {
  test("what a memento that failed was to say is for the next one, and so is what changed until its end", () => {
    const schema = { id: "total", version: 2 };
    const pipeline = definePipeline({
      name: "sum",
      version: "1",
      schema,
      stages: (stage) => [stage.task("add", { schema }, () => 1)],
    });
    const stamps = new RunStamps(pipeline, {});
    const first = stamps.unsaved();
    expect(first).toEqual({ state: schema });
    expect(stamps.unsaved()).toBe(first);
    stamps.done("add");
    stamps.saved(first);
    const second = stamps.unsaved();
    expect(second).toEqual({ state: schema, "output/add": schema });
    stamps.saved(second);
    expect(stamps.unsaved()).toBeNull();
  });
});
