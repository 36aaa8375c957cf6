import { describe, expect, onTestFinished, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { interceptStore } from "../../store/wrap/intercept.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";

/** Two stages, the first of which does what it is told to. */
const work = (during: () => Promise<unknown> = async () => undefined): Pipeline =>
  definePipeline({
    name: "work",
    version: "1",
    stages: (stage) => [stage.task("first", during), stage.task("second", () => 2)],
  });

const over = { code: "NOTHING_TO_RESUME", message: expect.stringContaining("not under way") as string };

describe("pauseRun()", () => {
  test("leaves the run that is under way alone where an earlier one is named", async () => {
    const { memento } = await bench();
    const { run: earlier } = await memento.run(work());
    const asked = work(async () => {
      await expect(memento.pause(earlier)).rejects.toMatchObject(over);
    });
    const { timeline } = await memento.run(asked);
    expect((await memento.vault.timeline(timeline)).request).toBeNull();
  });

  test("leaves no wish behind for the next run where the worker ends just before", async () => {
    const { store } = await bench();
    const ended = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = interceptStore(store, async ({ method }, proceed) => {
      if (method === "requestOf") {
        ended.resolve();
        await running;
      }
      return await proceed();
    });
    const memento = await Memento.open(slow, { keys: { raw: [new Uint8Array(32).fill(7)] } });
    onTestFinished(async () => await memento.close());
    const pipeline = work(async () => await ended.promise);
    const running = memento.run(pipeline, {
      onEvent: (event) => {
        if (event.type === "stage-started") begun.resolve();
      },
    });
    await begun.promise;
    const [{ run, timeline } = { run: "", timeline: "" }] = await Array.fromAsync(memento.history({ name: "work" }));
    await expect(memento.pause(run ?? "")).rejects.toMatchObject(over);
    expect((await memento.vault.timeline(timeline)).request).toBeNull();
    expect(await running).toMatchObject({ status: "completed" });
  });
});
