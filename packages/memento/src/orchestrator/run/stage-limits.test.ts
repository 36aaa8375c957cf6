import { describe, expect, test } from "vitest";

import { bench, load, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { passTime as ended } from "../../../../../test/harness/time-passing.ts";
import { MementoError } from "../../core/errors.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { RetryOptions } from "../pipeline/retry.ts";
import type { StageContext } from "../pipeline/stage.ts";
import type { StandardSchema } from "../pipeline/standard-schema.ts";
import { memorySink, type MemoryTable } from "../sinks/index.ts";

type Copying = (context: StageContext, n: number) => void | Promise<void>;

/** Copies 40 numbers in batches of 10 into a table, saving after every 20; the state has the last one. */
function copying(
  data: MemoryTable<Row>,
  each: Copying,
  options: { readonly retry?: RetryOptions; readonly timeoutMs?: number; readonly heartbeatMs?: number },
): Pipeline {
  return definePipeline({
    name: "copy",
    version: "1",
    batchRecords: 10,
    checkpoint: { records: 20 },
    sources: { numbers: () => numbers(40) },
    sinks: { table: () => memorySink<Row>({ table: data }) },
    stages: (stage) => [
      stage.task("copy", { after: [], ...options }, async (context) => {
        for await (const { records } of context.read("numbers")) {
          await context.write("table", records);
          const last = (records.at(-1) as Row).n;
          context.state["last"] = { n: last };
          await each(context, last);
        }
        return context.state["last"];
      }),
    ],
  });
}

describe("retry", () => {
  test("a further attempt begins at the last memento: sinks, offsets and state of before, each record once", async () => {
    const clock = new ManualClock();
    const { memento, data, events, onEvent } = await bench(clock);
    const seen: unknown[] = [];
    let fails = 2;
    const pipeline = copying(
      data,
      (context, n) => {
        seen.push([n, context.state["last"]]);
        if (n !== 30 || fails === 0) return;
        fails -= 1;
        (context.state["last"] as { n: number }).n = -1;
        throw new Error("the network hums");
      },
      { retry: { attempts: 3, initialMs: 1_000, jitter: false } },
    );
    const result = await ended(clock, memento.run(pipeline, { onEvent }));
    expect(result).toMatchObject({ status: "completed", resumed: false });
    expect(rowsOf(data)).toEqual(upTo(40));
    expect(await result.output("copy")).toEqual({ n: 40 });
    expect(events.filter(({ type }) => type === "stage-retry")).toEqual([
      { type: "stage-retry", stage: "copy", failed: 1, attempts: 3, delayMs: 1_000, error: "the network hums" },
      { type: "stage-retry", stage: "copy", failed: 2, attempts: 3, delayMs: 2_000, error: "the network hums" },
    ]);
    expect(seen.map((each) => (each as [number])[0])).toEqual([10, 20, 30, 30, 30, 40]);
    const last = await memento.vault.load(result.head);
    expect(last.keys("attempts/")).toEqual([]);
    expect(last.keys("progress/")).toEqual([]);
  });

  test("a wait is no longer than it was to be where the clock is set back", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    let failed = false;
    const pipeline = copying(
      data,
      () => {
        if (failed) return;
        failed = true;
        throw new Error("the network hums");
      },
      { retry: { attempts: 2, initialMs: 1_000, jitter: false } },
    );
    const run = memento.run(pipeline, {
      onEvent: (event) => event.type === "stage-retry" && clock.setNow(clock.now() - 3_600_000),
    });
    const began = clock.monotonic();
    expect(await ended(clock, run)).toMatchObject({ status: "completed" });
    expect(clock.monotonic() - began).toBeLessThan(5_000);
  });

  test("attempts and their waits are kept across restarts", async () => {
    const clock = new ManualClock();
    const { memento, data, events, onEvent } = await bench(clock);
    let runs = 0;
    const retry = { attempts: 3, initialMs: 60_000, maxMs: 120_000, jitter: false } as const;
    const pipeline = copying(
      data,
      () => {
        runs += 1;
        throw new Error("never");
      },
      { retry },
    );
    const stop = new AbortController();
    const first = ended(
      clock,
      memento.run(pipeline, {
        signal: stop.signal,
        onEvent: (event) => event.type === "stage-retry" && stop.abort(),
      }),
    );
    expect(await first).toMatchObject({ status: "interrupted" });
    const began = clock.now();
    const second = ended(clock, memento.run(pipeline, { onEvent }), 10_000);
    await expect(second).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(runs).toBe(3);
    expect(clock.now() - began).toBeGreaterThanOrEqual(60_000 + 120_000);
    expect(events.filter(({ type }) => type === "stage-retry")).toMatchObject([{ failed: 2 }]);
    expect(rowsOf(data)).toEqual(upTo(10));
    // Whoever runs it again by hand has all attempts before him.
    await expect(ended(clock, memento.run(pipeline), 10_000)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    expect(runs).toBe(6);
  });

  test("what its policy calls hopeless, and errors that no attempt mends, end the stage at once", async () => {
    const { memento, data } = await bench();
    let runs = 0;
    const failing = (error: Error, retry: Partial<RetryOptions>): Pipeline =>
      copying(
        data,
        () => {
          runs += 1;
          throw error;
        },
        { retry: { attempts: 5, ...retry } },
      );
    const hopeless = failing(new Error("no such table"), { retryable: () => false });
    await expect(memento.run(hopeless)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const missing = failing(new MementoError("INPUT_MISSING", "it is not there"), {});
    await expect(memento.run(missing, { fresh: true })).rejects.toMatchObject({ code: "INPUT_MISSING" });
    expect(runs).toBe(2);
    expect(() => failing(new Error("x"), { attempts: 0 })).toThrow(/retry.attempts is 0/u);
  });

  test("a flow is tried again as a whole, with the counts of an undisturbed one", async () => {
    const clock = new ManualClock();
    const whole = await bench();
    const wanted = await whole.memento.run(load(() => memorySink<Row>({ table: whole.data })));
    const { memento, data } = await bench(clock);
    let fails = 3;
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      checkpoint: { records: 20 },
      batchRecords: 10,
      sources: { numbers: () => numbers(95) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const extract = stage.read("extract", { source: "numbers", retry: { attempts: 4 } });
        const transform = stage.map("transform", {
          after: extract,
          run: (row) => {
            if (row.n === 57 && fails > 0) {
              fails -= 1;
              throw new Error("once more");
            }
            return row;
          },
        });
        return [extract, transform, stage.write("write", { after: transform, sink: "table" })];
      },
    });
    const result = await ended(clock, memento.run(pipeline));
    expect(fails).toBe(0);
    expect(rowsOf(data)).toEqual(upTo(95));
    expect(await result.output("write")).toEqual(await wanted.output("write"));
  });
});

describe("timeoutMs and heartbeatMs", () => {
  test("an attempt that takes too long is given up: its signal aborts, its context is dead, and it is tried again", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    const late: Promise<unknown>[] = [];
    let hangs = true;
    const pipeline = copying(
      data,
      async (context, n) => {
        if (n !== 30 || !hangs) return;
        hangs = false;
        await new Promise((resolve) => {
          context.signal.addEventListener("abort", resolve);
        });
        late.push(
          context.write("table", [{ n: 999 }]),
          context.checkpoint(),
          context.sleep("late", 10),
          (async () => await context.read("numbers")[Symbol.asyncIterator]().next())(),
        );
        context.state["last"] = { n: 999 };
        await Promise.allSettled(late);
      },
      { timeoutMs: 5_000, retry: { attempts: 2 } },
    );
    const result = await ended(clock, memento.run(pipeline));
    expect(result.status).toBe("completed");
    expect(rowsOf(data)).toEqual(upTo(40));
    expect(await result.output("copy")).toEqual({ n: 40 });
    expect(late).toHaveLength(4);
    for (const call of late) await expect(call).rejects.toMatchObject({ code: "STAGE_TIMEOUT" });
  });

  test("without a further attempt the run fails with STAGE_TIMEOUT, and goes on later", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    let hangs = true;
    const pipeline = copying(data, async (_context, n) => (n === 30 && hangs ? await clock.sleep(1e9) : undefined), {
      timeoutMs: 5_000,
    });
    await expect(ended(clock, memento.run(pipeline))).rejects.toMatchObject({
      code: "STAGE_TIMEOUT",
      message: "Stage copy took longer than 5000 ms",
    });
    hangs = false;
    expect(await ended(clock, memento.run(pipeline))).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(upTo(40));
  });

  test("sleeps at once count once, and what can be awaited and is no Promise has its limits, too", async () => {
    const clock = new ManualClock();
    const { memento } = await bench(clock);
    const late = (run: (context: StageContext) => unknown): Pipeline =>
      definePipeline({
        name: "late",
        version: "1",
        stages: (stage) => [stage.task("late", { after: [], timeoutMs: 5_000 }, async (context) => await run(context))],
      });
    const asleep = late(async (context) => {
      await Promise.all(upTo(10).map(async (n) => await context.sleep(`sleep ${n}`, 1_000)));
      await clock.sleep(9_000);
    });
    await expect(ended(clock, memento.run(asleep))).rejects.toMatchObject({ code: "STAGE_TIMEOUT" });
    const thenable = definePipeline({
      name: "thenable",
      version: "1",
      stages: (stage) => [
        stage.task("late", { after: [], timeoutMs: 5_000 }, () => {
          const promise = clock.sleep(1e9);
          return Object.fromEntries(["then"].map((name) => [name, promise.then.bind(promise)]));
        }),
      ],
    });
    await expect(ended(clock, memento.run(thenable))).rejects.toMatchObject({ code: "STAGE_TIMEOUT" });
  });

  test("a stage that gives signs of life may take as long as it likes; a silent one may not", async () => {
    const clock = new ManualClock();
    const { memento } = await bench(clock);
    const beating = (beats: number): Pipeline =>
      definePipeline({
        name: `beats-${beats}`,
        version: "1",
        stages: (stage) => [
          stage.task("work", { after: [], heartbeatMs: 1_000 }, async (context) => {
            for (let beat = 0; beat < 20; beat++) {
              await clock.sleep(900);
              if (beat < beats) context.heartbeat();
            }
            return "done";
          }),
        ],
      });
    expect(await ended(clock, memento.run(beating(20)), 100)).toMatchObject({ status: "completed" });
    await expect(ended(clock, memento.run(beating(5)), 100)).rejects.toMatchObject({
      code: "STAGE_TIMEOUT",
      message: expect.stringContaining("no sign of life"),
    });
  });
});

describe("input and output schemas", () => {
  const positive: StandardSchema<number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) =>
        typeof value === "number" && value > 0
          ? { value: value * 10 }
          : { issues: [{ message: "expected a positive number" }] },
    },
  };
  const counted: StandardSchema<{ readonly count: number }> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: (value) => {
        const { count } = value as { count?: unknown };
        return typeof count === "number"
          ? { value: { count } }
          : { issues: [{ message: "expected a number", path: ["count"] }] };
      },
    },
  };
  const pipeline = (first: unknown, second: number): Pipeline =>
    definePipeline({
      name: "schemas",
      version: "1",
      stages: (stage) => {
        const one = stage.task("one", () => first);
        const two = stage.task(
          "two",
          { after: { count: one }, input: counted, output: positive },
          (_context, input) => {
            const { count }: { count: number } = input;
            return count * second;
          },
        );
        return [one, two];
      },
    });

  test("what a schema makes of a value is what goes on", async () => {
    const { memento } = await bench();
    const result = await memento.run(pipeline(3, 2));
    expect(await result.output("two")).toBe(60);
  });

  test("what does not fit names the stage, its side and the path", async () => {
    const { memento } = await bench();
    await expect(memento.run(pipeline("three", 2))).rejects.toMatchObject({
      code: "SCHEMA_MISMATCH",
      message: "The input of stage two does not fit its schema: count: expected a number",
    });
    await expect(memento.run(pipeline(3, -2), { fresh: true })).rejects.toMatchObject({
      code: "SCHEMA_MISMATCH",
      message: "The output of stage two does not fit its schema: expected a positive number",
    });
  });
});
