import { describe, expect, onTestFinished, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { interceptStore } from "../../store/wrap/intercept.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { ProcessProbe } from "../../vault/process-identity.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { timelineOfRun } from "./pause.ts";

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

describe("a pause that its worker has not lived to see", () => {
  const probe: ProcessProbe = {
    self: () => ({ host: "h", bootId: "b", pid: 1, processStart: "1" }),
    isKnownDead: () => true,
  };

  /** A run that stands unfinished, held by a worker that is gone and was asked to pause. */
  const asked = async (memento: Memento): Promise<string> => {
    const broken = work(() => {
      throw new Error("the network hums");
    });
    await expect(memento.run(broken)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const [head] = await Array.fromAsync(memento.history({ name: "work" }));
    const { timeline = "", run = "" } = head ?? {};
    const gone = await LeaseKeeper.acquire(memento.vault, timeline, { probe });
    onTestFinished(async () => await gone.release());
    const alive = { ...probe, isKnownDead: () => false };
    expect(await memento.pause(run, { probe: alive })).toMatchObject({ status: "requested" });
    return timeline;
  };

  test.each(["resume", "fresh"] as const)("is older than %s, which is told so", async (wish) => {
    const clock = new ManualClock();
    const { memento, events, onEvent } = await bench(clock);
    const timeline = await asked(memento);
    const pipeline = work(async () => await clock.tick(3_000));
    expect(await memento.run(pipeline, { [wish]: true, probe, onEvent })).toMatchObject({ status: "completed" });
    expect(events[0]).toEqual({ type: "pause-dropped" });
    expect((await memento.vault.timeline(timeline)).request).toBeNull();
  });

  test("is done by whoever goes on without having been told to resume", async () => {
    const { memento, events, onEvent } = await bench();
    await asked(memento);
    let ran = 0;
    const pipeline = work(async () => void (ran += 1));
    expect(await memento.run(pipeline, { probe, onEvent })).toMatchObject({ status: "paused" });
    expect(ran).toBe(0);
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "RUN_PENDING" });
    expect(await memento.run(pipeline, { resume: true, onEvent })).toMatchObject({ status: "completed" });
    expect(events.some(({ type }) => type === "pause-dropped")).toBe(false);
  });

  test("of a pause that is asked of the one who resumes nothing is dropped", async () => {
    const clock = new ManualClock();
    const { memento } = await bench(clock);
    await asked(memento);
    const pipeline = work(async () => {
      const [head] = await Array.fromAsync(memento.history({ name: "work" }));
      await memento.pause(head?.run ?? "");
      await clock.tick(3_000);
    });
    expect(await memento.run(pipeline, { resume: true, probe })).toMatchObject({ status: "paused" });
  });
});

describe("timelineOfRun()", () => {
  test("reads one memento of a run that has no key, for it is on one timeline and its forks alone", async () => {
    const { store, memento } = await bench();
    const { run, timeline } = await memento.run(work());
    const { run: keyed } = await memento.run(work(), { key: "r20261123abcd" });
    let rows = 0;
    const counted = interceptStore(store, async ({ method }, proceed) => {
      if (method === "query") rows += 1;
      return await proceed();
    });
    const reader = await Memento.open(counted, { keys: { raw: [new Uint8Array(32).fill(7)] } });
    onTestFinished(async () => await reader.close());
    expect(await timelineOfRun(reader.vault, run)).toBe(timeline);
    expect(rows).toBe(1);
    // A key that looks like the id of a run may be that of several.
    await memento.run(definePipeline({ ...work(), name: "other", stages: () => [] } as never), { key: keyed });
    await expect(timelineOfRun(reader.vault, keyed)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
