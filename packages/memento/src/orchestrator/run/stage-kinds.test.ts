import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { passTime } from "../../../../../test/harness/time-passing.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { CheckpointPolicy } from "../pipeline/stage.ts";
import { memorySink, type MemoryTable } from "../sinks/index.ts";

describe("each()", () => {
  interface Squares {
    readonly data: MemoryTable<Row>;
    readonly items: () => readonly number[];
    readonly concurrency?: number;
    readonly before?: (item: number) => void | Promise<void>;
    readonly attempts?: number;
    readonly checkpoint?: CheckpointPolicy;
  }

  function squares({ data, items, concurrency = 1, before, attempts, checkpoint = "stage" }: Squares): Pipeline {
    return definePipeline({
      name: "squares",
      version: "1",
      checkpoint,
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const list = stage.task("list", items);
        const each = stage.each(
          "square",
          {
            after: { list },
            items: (input) => input.list,
            concurrency,
            ...(attempts === undefined ? {} : { retry: { attempts, initialMs: 0 } }),
          },
          async (context, item, index) => {
            await context.write("table", [{ n: item }]);
            context.state[`seen-${item}`] = index;
            await before?.(item);
            return item * item;
          },
        );
        const sum = stage.task("sum", { after: { each } }, (_context, input) =>
          input.each.reduce((total, square) => total + square, 0),
        );
        return [list, each, sum];
      },
    });
  }

  test.each([1, 4])(
    "gives the outputs in the order of the list, %i at once, and drops what it kept of items",
    async (concurrency) => {
      const { memento, data, events, onEvent } = await bench();
      const pipeline = squares({ data, items: () => upTo(9), concurrency });
      const result = await memento.run(pipeline, { onEvent });
      expect(await result.output("square")).toEqual(upTo(9).map((n) => n * n));
      expect(await result.output("sum")).toBe(285);
      expect(rowsOf(data)).toEqual(upTo(9));
      const head = await memento.vault.load(result.head);
      expect([...head.keys("item/"), ...head.keys("list/"), ...head.keys("progress/")]).toEqual([]);
      expect(head.keys("state/")).toHaveLength(9);
      const saved = events.flatMap((event) => (event.type === "saved" ? [event.entry.reason] : []));
      expect(saved.filter((reason) => reason === "item")).toHaveLength(9);
      expect(await memento.verify()).toMatchObject({ sound: true });
    },
  );

  test.each([1, 3])(
    "a run that is taken up again passes over the items that are done, %i at once",
    async (concurrency) => {
      const { memento, data } = await bench();
      const ran: number[] = [];
      let armed = true;
      let lists = 0;
      const pipeline = squares({
        data,
        concurrency,
        // The list that the first attempt saw is gone over to its end, whatever the next one would see.
        items: () => {
          lists += 1;
          return upTo(8 * lists);
        },
        before: (item) => {
          if (armed && item === 6) throw new Error("not this one");
          ran.push(item);
        },
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({
        code: "STAGE_FAILED",
        message: "Stage square of pipeline squares failed: not this one",
      });
      armed = false;
      const result = await memento.run(pipeline);
      expect(result).toMatchObject({ status: "completed", resumed: true });
      expect(await result.output("square")).toEqual(upTo(8).map((n) => n * n));
      expect(ran.toSorted((a, b) => a - b)).toEqual(upTo(8));
      expect(rowsOf(data)).toEqual(upTo(8));
      expect((await memento.vault.load(result.head)).keys("state/")).toHaveLength(8);
    },
  );

  test("an item that fails is tried again on its own", async () => {
    const { memento, data } = await bench();
    const tries = new Map<number, number>();
    const pipeline = squares({
      data,
      items: () => upTo(5),
      concurrency: 2,
      attempts: 3,
      before: (item) => {
        tries.set(item, (tries.get(item) ?? 0) + 1);
        if (item % 2 === 0 && (tries.get(item) ?? 0) < 3) throw new Error("again");
      },
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(5));
    expect([...tries].toSorted(([a], [b]) => a - b)).toEqual([
      [1, 1],
      [2, 3],
      [3, 1],
      [4, 3],
      [5, 1],
    ]);
  });

  test("an empty list is done at once, and what is no list is refused", async () => {
    const { memento, data } = await bench();
    expect(await (await memento.run(squares({ data, items: () => [] }))).output("square")).toEqual([]);
    const wrong = squares({ data, items: () => "abc" as unknown as number[] });
    await expect(memento.run(wrong)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("Ctrl-C between items keeps those that are done", async () => {
    const { memento, data } = await bench();
    const stop = new AbortController();
    const before = (item: number): void => {
      if (item === 3) stop.abort();
    };
    const pipeline = squares({ data, items: () => upTo(5), before });
    expect(await memento.run(pipeline, { signal: stop.signal })).toMatchObject({ status: "interrupted" });
    expect(rowsOf(data)).toEqual(upTo(3));
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", recordsReadAgain: 0 });
    expect(rowsOf(data)).toEqual(upTo(5));
  });
});

describe("when", () => {
  test("a stage that is passed over is done without an output, and those after it can see that", async () => {
    const { memento, events, onEvent } = await bench();
    const pipeline = definePipeline<{ readonly big: boolean }>({
      name: "branches",
      version: "1",
      stages: (stage) => {
        const size = stage.task("size", (context) => (context.params.big ? 1_000 : 1));
        const big = stage.task("big", { after: { size }, when: ({ size: n }) => n > 100 }, () => "big way");
        const small = stage.task("small", { after: { size }, when: ({ size: n }) => n <= 100 }, () => "small way");
        const list = stage.each("list", { after: [size], items: () => [1], when: () => false }, () => 1);
        const end = stage.task("end", { after: { big, small, list } }, (_context, input) => input);
        return [size, big, small, list, end];
      },
    });
    const first = await memento.run(pipeline, { params: { big: true }, onEvent });
    expect(await first.output("end")).toEqual({ big: "big way", small: undefined, list: undefined });
    expect(events.flatMap((event) => (event.type === "stage-skipped" ? [event.stage] : []))).toEqual(["small", "list"]);
    const second = await memento.run(pipeline, { params: { big: false } });
    expect(await second.output("end")).toEqual({ big: undefined, small: "small way", list: undefined });
  });

  test("of a flow, what comes after a stage that is passed over is passed over too, also when the flow is taken up again", async () => {
    const { memento, data } = await bench();
    const other = (await bench()).data;
    let armed = true;
    let odd = true;
    const pipeline = definePipeline({
      name: "flows",
      version: "1",
      batchRecords: 10,
      checkpoint: { records: 10 },
      sources: { numbers: () => numbers(40) },
      sinks: { all: () => memorySink<Row>({ table: data }), odd: () => memorySink<Row>({ table: other }) },
      stages: (stage) => {
        const extract = stage.read("extract", { source: "numbers" });
        const all = stage.write("all", { after: extract, sink: "all" });
        const filter = stage.map("filter", {
          after: extract,
          when: () => odd,
          run: (row) => {
            if (armed && row.n === 25) throw new Error("stop");
            return row.n % 2 === 1 ? row : undefined;
          },
        });
        return [extract, all, filter, stage.write("odd", { after: filter, sink: "odd" })];
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    // The branch was taken when the flow began.
    [armed, odd] = [false, false];
    const result = await memento.run(pipeline);
    expect(rowsOf(data)).toEqual(upTo(40));
    expect(rowsOf(other)).toEqual(upTo(40).filter((n) => n % 2 === 1));
    expect(await result.output("odd")).toMatchObject({ recordsIn: 20 });
    await memento.rollback(pipeline, "start", { plan: (await memento.plan(pipeline, "start")).hash });
    const again = await memento.run(pipeline);
    expect(rowsOf(data)).toEqual(upTo(40));
    expect(rowsOf(other)).toEqual([]);
    expect(await again.output("odd")).toBeUndefined();
  });
});

describe("approval()", () => {
  const pipeline = definePipeline({
    name: "release",
    version: "1",
    stages: (stage) => {
      const build = stage.task("build", () => "built");
      const ok = stage.approval("ok", { after: [build], message: "Ship it?" });
      return [build, ok, stage.task("ship", { after: { ok } }, (_context, input) => `by ${input.ok.by}`)];
    },
  });

  test("the run waits, whoever resumes it, until somebody approves; who and why is kept", async () => {
    const { memento } = await bench();
    const paused = await memento.run(pipeline);
    expect(paused).toMatchObject({ status: "paused", waitingFor: "ok" });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "RUN_PENDING" });
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "paused", waitingFor: "ok" });
    const approved = await memento.approve(paused.run, { by: "ana", note: "looks fine" });
    expect(approved).toMatchObject({ stage: "ok", message: "Ship it?", decision: { approved: true, by: "ana" } });
    const kept = (await memento.vault.load(approved.head)).fields()["approval"];
    expect(kept).toMatchObject({ stage: "ok", approved: true, by: "ana", note: "looks fine" });
    const result = await memento.run(pipeline);
    expect(result).toMatchObject({ status: "completed", resumed: true, skipped: ["build"], waitingFor: null });
    expect(await result.output("ship")).toBe("by ana");
    await expect(memento.approve(paused.run)).rejects.toMatchObject({ code: "NOTHING_TO_RESUME" });
    expect((await memento.vault.load(result.head)).keys("approval/")).toEqual([]);
  });

  test("a rejection fails the run, until it is approved after all", async () => {
    const { memento } = await bench();
    const { run } = await memento.run(pipeline);
    await memento.approve(run, { reject: true, by: "ben", note: "tests are red" });
    const failed = memento.run(pipeline);
    await expect(failed).rejects.toMatchObject({
      code: "APPROVAL_REJECTED",
      message: "ben rejected ok: tests are red",
    });
    await memento.approve(run, { stage: "ok", by: "ana" });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    // The next run asks anew.
    expect(await memento.run(pipeline)).toMatchObject({ status: "paused", resumed: false });
  });
});

describe("sleep()", () => {
  const nap = (clock: ManualClock, woke: number[], wait: number | { until: Date }): Pipeline =>
    definePipeline({
      name: "nap",
      version: "1",
      stages: (stage) => [
        stage.task("nap", { after: [], timeoutMs: 5_000 }, async (context) => {
          context.state["before"] = true;
          await context.sleep("a while", wait);
          woke.push(clock.now());
          await context.sleep("a moment", 10);
          return clock.now();
        }),
      ],
    });

  test("is slept once, however often the run is interrupted, and does not count as work", async () => {
    const clock = new ManualClock();
    const { memento, events, onEvent } = await bench(clock);
    const woke: number[] = [];
    const began = clock.now();
    const pipeline = nap(clock, woke, 3_600_000);
    for (const _round of [1, 2]) {
      const stop = new AbortController();
      const run = memento.run(pipeline, { signal: stop.signal, onEvent });
      for (let minute = 0; minute < 10; minute++) await clock.tick(60_000);
      stop.abort();
      expect(await passTime(clock, run)).toMatchObject({ status: "interrupted" });
    }
    expect(events.filter(({ type }) => type === "stage-sleeps")).toHaveLength(1);
    const result = await passTime(clock, memento.run(pipeline), 10_000);
    expect(result.status).toBe("completed");
    expect(woke).toHaveLength(1);
    expect((woke[0] ?? 0) - began).toBeGreaterThanOrEqual(3_600_000);
    expect((woke[0] ?? 0) - began).toBeLessThan(3_700_000);
    expect((await memento.vault.load(result.head)).keys("sleep/")).toEqual([]);
  });

  test("of some time takes no longer where the clock is set back, before a restart or after it", async () => {
    const clock = new ManualClock();
    const { memento } = await bench(clock);
    const woke: number[] = [];
    const pipeline = nap(clock, woke, 60_000);
    const began = clock.monotonic();
    const stop = new AbortController();
    const first = memento.run(pipeline, { signal: stop.signal });
    await clock.tick(1_000);
    clock.setNow(clock.now() - 86_400_000);
    stop.abort();
    expect(await passTime(clock, first)).toMatchObject({ status: "interrupted" });
    const second = memento.run(pipeline);
    await clock.tick(1_000);
    clock.setNow(clock.now() - 86_400_000);
    expect(await passTime(clock, second)).toMatchObject({ status: "completed" });
    expect(clock.monotonic() - began).toBeLessThan(70_000);
  });

  test("until a moment that has passed is no wait, and what is no moment is refused", async () => {
    const clock = new ManualClock();
    const { memento } = await bench(clock);
    const woke: number[] = [];
    await passTime(clock, memento.run(nap(clock, woke, { until: new Date(0) })));
    expect(woke).toHaveLength(1);
    await expect(passTime(clock, memento.run(nap(clock, woke, Number.NaN)))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});

describe("cancelRun()", () => {
  const copying = (data: MemoryTable<Row>, before: (n: number, signal: AbortSignal) => Promise<void>): Pipeline =>
    definePipeline({
      name: "copy",
      version: "1",
      batchRecords: 10,
      checkpoint: { records: 20 },
      sources: { numbers: () => numbers(60) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [
        stage.task("copy", async (context) => {
          for await (const { records } of context.read("numbers")) {
            await context.write("table", records);
            await before((records.at(-1) as Row).n, context.signal);
          }
        }),
      ],
    });

  test.each([true, false])(
    "ends a live run, one that heeds its signal: %s; its sinks go back to the last memento, and the next run starts there",
    async (heeds) => {
      const { memento, data } = await bench();
      const reached = Promise.withResolvers<string>();
      let hangs = true;
      const pipeline = copying(data, async (n, signal) => {
        if (n !== 30 || !hangs) return;
        hangs = false;
        reached.resolve("");
        await new Promise((_resolve, reject) => {
          if (heeds) signal.addEventListener("abort", () => reject(signal.reason));
        });
      });
      const run = memento.run(pipeline, { leaseDurationMs: 6_000 });
      await reached.promise;
      let id = "";
      for await (const entry of memento.history(pipeline)) id = entry.run ?? id;
      expect(rowsOf(data)).toEqual(upTo(30));
      const cancelled = await memento.cancel(id, { by: "ana", why: "wrong day" });
      expect(cancelled).toMatchObject({ run: id, wasLive: true });
      expect(await run).toMatchObject({ status: "cancelled", head: cancelled.head });
      expect(rowsOf(data)).toEqual(upTo(20));
      const head = await memento.vault.load(cancelled.head);
      expect(head.entry).toMatchObject({ status: "cancelled", reason: "cancel", run: id });
      expect(head.fields()["cancel"]).toMatchObject({ by: "ana", why: "wrong day" });
      await expect(memento.run(pipeline, { resume: true })).rejects.toMatchObject({ code: "NOTHING_TO_RESUME" });
      await expect(memento.cancel(id)).rejects.toMatchObject({ code: "NOTHING_TO_RESUME" });
      const next = await memento.run(pipeline);
      expect(next).toMatchObject({ status: "completed", resumed: false });
      expect(next.run).not.toBe(id);
      expect(rowsOf(data)).toEqual(upTo(60));
    },
  );

  test("marks a run that nobody is running", async () => {
    const { memento, data } = await bench();
    let fails = true;
    const pipeline = copying(data, async (n) => {
      if (n === 30 && fails) throw new Error("no");
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fails = false;
    let id = "";
    for await (const entry of memento.history(pipeline)) id = entry.run ?? id;
    expect(await memento.cancel(id)).toMatchObject({ wasLive: false });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: false });
    expect(rowsOf(data)).toEqual(upTo(60));
  });
});
