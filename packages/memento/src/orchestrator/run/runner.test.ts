import process from "node:process";

import { describe, expect, test, vi } from "vitest";

import { bench, load, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink } from "../sinks/index.ts";
import type { RunEvent } from "./run-event.ts";

describe("runPipeline()", () => {
  test("runs a flow to its end, with a memento at each interval and after each stage", async () => {
    const { memento, data, events, onEvent } = await bench();
    const result = await memento.run(
      load(() => memorySink<Row>({ table: data })),
      { onEvent },
    );
    expect(result).toMatchObject({ status: "completed", resumed: false, skipped: [] });
    expect(await result.output("report")).toEqual({ rows: 95 });
    expect(rowsOf(data)).toEqual(upTo(95));
    const reasons = events.flatMap((event) => (event.type === "saved" ? [event.entry.reason] : []));
    expect(reasons).toEqual([
      "start",
      "interval",
      "interval",
      "interval",
      "interval",
      "stage",
      "stage",
      "stage",
      "stage",
    ]);
    expect(await memento.verify()).toMatchObject({ sound: true, damages: [] });
  });

  test("a map may give any number of records for one", async () => {
    const { memento, data } = await bench();
    const pipeline = definePipeline({
      name: "many",
      version: "1",
      sources: { one: () => numbers(1) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "one" });
        const many = stage.map("many", { after: read, run: () => upTo(200_000).map((n) => ({ n })) });
        return [read, many, stage.write("write", { after: many, sink: "table" })];
      },
    });
    await memento.run(pipeline);
    expect(data.rows).toHaveLength(200_000);
  });

  test("a run whose first memento cannot be saved is told to have ended", async () => {
    const { memento, store, data, events, onEvent } = await bench();
    store.append = async () => {
      throw new Error("the disk is full");
    };
    const run = memento.run(
      load(() => memorySink<Row>({ table: data })),
      { onEvent },
    );
    await expect(run).rejects.toThrow("the disk is full");
    expect(events.map(({ type }) => type)).toEqual(["run-started", "save-failed", "run-ended"]);
    expect(events.at(-1)).toMatchObject({ status: "failed", error: "other" });
  });

  test("tells its end once, also to a listener that throws at it", async () => {
    const { memento, data, events } = await bench();
    const run = memento.run(
      load(() => memorySink<Row>({ table: data })),
      {
        onEvent: (event) => {
          events.push(event);
          if (event.type === "run-ended") throw new Error("the listener is broken");
        },
      },
    );
    await expect(run).rejects.toThrow("the listener is broken");
    expect(events.filter(({ type }) => type === "run-ended")).toMatchObject([{ status: "completed", error: null }]);
    const [head] = await Array.fromAsync(memento.history({ name: "load" }));
    expect(head?.status).toBe("completed");
  });

  test.each([
    [{ status: 429, reason: "quota" }, "{ status: 429, reason: 'quota' }"],
    [Object.create(null), "[Object: null prototype] {}"],
  ])("a stage that throws %j, which is no error, fails with what it holds", async (thrown, text) => {
    const { memento, data } = await bench();
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: () => {
        throw thrown;
      },
    });
    const message = `Stage extract of pipeline load failed: ${text}`;
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED", message, cause: thrown });
    const [head] = await Array.fromAsync(memento.history({ name: "load" }));
    expect(head).toMatchObject({ status: "failed" });
  });

  test("a listener that throws at a failed end does not hide the failure", async () => {
    const { memento, data } = await bench();
    const warn = vi.spyOn(process, "emitWarning").mockReturnValue(undefined);
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: () => {
        throw new Error("the disk hums");
      },
    });
    const onEvent = ({ type }: RunEvent): void => {
      if (type === "run-ended") throw new Error("the listener is broken");
    };
    await expect(memento.run(pipeline, { onEvent })).rejects.toThrow("the disk hums");
    expect(warn.mock.calls.map(([message]) => message)).toEqual([expect.stringContaining("the listener is broken")]);
  });

  test("takes up after a failure: done records stay, undone ones are taken back and read again, none is lost or doubled", async () => {
    const { memento, data, events, onEvent } = await bench();
    let armed = true;
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: (n) => {
        if (armed && n === 58) throw new Error("the disk hums");
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({
      code: "STAGE_FAILED",
      message: expect.stringContaining("the disk hums"),
    });
    armed = false;
    const result = await memento.run(pipeline, { onEvent });
    expect(result).toMatchObject({ status: "completed", resumed: true, recordsReadAgain: 10 });
    expect(rowsOf(data)).toEqual(upTo(95));
    expect(events.find(({ type }) => type === "sink-reverted")).toMatchObject({ rows: 10, records: 10 });
    expect(await result.output("report")).toEqual({ rows: 95 });
  });

  test("a failure at every record ends, after resuming, in the same data and the same digests", async () => {
    const whole = await bench();
    const complete = await whole.memento.run(load(() => memorySink<Row>({ table: whole.data }), { count: 45 }));
    const wanted = await complete.output("write");
    for (let failAt = 1; failAt <= 45; failAt++) {
      const { memento, data } = await bench();
      let armed = true;
      const pipeline = load(() => memorySink<Row>({ table: data }), {
        count: 45,
        before: (n) => {
          if (armed && n === failAt) throw new Error("once");
        },
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      armed = false;
      const result = await memento.run(pipeline);
      expect(rowsOf(data), `failed at ${failAt}`).toEqual(upTo(45));
      expect(await result.output("write"), `failed at ${failAt}`).toEqual(wanted);
    }
  });

  test("a failure inside a flow names the stage that threw, and so does its memento", async () => {
    const { memento, data } = await bench();
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      map: (row) => {
        if (row.n === 33) throw new Error("cannot be transformed");
        return row;
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({
      code: "STAGE_FAILED",
      message: expect.stringContaining("Stage transform of pipeline load failed: cannot be transformed"),
    });
    for await (const entry of memento.history(pipeline)) {
      expect(entry).toMatchObject({ reason: "failure", status: "failed", stage: "transform" });
      break;
    }
  });

  test("counts each resumption, whether it goes on or fails at once", async () => {
    const { memento, data } = await bench();
    let fails = 3;
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: () => {
        if (fails-- > 0) throw new Error("not yet");
      },
    });
    for (let attempt = 0; attempt < 3; attempt++) {
      await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    }
    // Somebody else pauses it.
    const [last] = await Array.fromAsync(memento.history(pipeline));
    await memento.pause(last?.run ?? "");
    await memento.run(pipeline, { resume: true });
    const counts: number[] = [];
    for await (const entry of memento.history(pipeline)) counts.push(entry.resumeCount ?? -1);
    expect(counts[0]).toBe(3);
    expect(counts).not.toContain(-1);
    expect(counts.toReversed().slice(0, 4)).toEqual([0, 0, 1, 2]);
  });

  test("a new run starts at the head's offsets and state", async () => {
    const { memento, data } = await bench();
    await memento.run(load(() => memorySink<Row>({ table: data }), { count: 30 }));
    const second = await memento.run(load(() => memorySink<Row>({ table: data }), { count: 50 }));
    expect(await second.output("report")).toEqual({ rows: 20 });
    expect(rowsOf(data)).toEqual(upTo(50));
  });

  test("the same key is the same run", async () => {
    const { memento, data } = await bench();
    const pipeline = load(() => memorySink<Row>({ table: data }));
    const first = await memento.run(pipeline, { key: "2026-01-01" });
    const again = await memento.run(pipeline, { key: "2026-01-01" });
    expect(again).toMatchObject({ alreadyDone: true, run: first.run, head: first.head });
    await memento.run(pipeline, { key: "2026-01-02" });
    expect(await memento.run(pipeline, { key: "2026-01-01" })).toMatchObject({ alreadyDone: true, head: first.head });
  });

  test("asks before it goes on with a run of other parameters, and goes on, or starts anew, when told", async () => {
    const { memento } = await bench();
    let fail = true;
    const pipeline = definePipeline({
      name: "p",
      version: "1",
      stages: (stage) => [
        stage.task("one", () => 1),
        stage.task("two", () => {
          if (fail) throw new Error("not yet");
        }),
      ],
    });
    await expect(memento.run(pipeline, { params: { day: 1 } })).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await expect(memento.run(pipeline, { params: { day: 2 } })).rejects.toMatchObject({ code: "RUN_PENDING" });
    fail = false;
    expect(await memento.run(pipeline, { params: { day: 2 }, fresh: true })).toMatchObject({
      status: "completed",
      resumed: false,
    });
    await expect(memento.run(pipeline, { resume: true })).rejects.toMatchObject({ code: "NOTHING_TO_RESUME" });
  });

  test("refuses fresh and resume together: a run is left behind or gone on with", async () => {
    const { memento, data } = await bench();
    const pipeline = load(() => memorySink<Row>({ table: data }));
    await expect(memento.run(pipeline, { fresh: true, resume: true })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      hint: expect.stringContaining("say one of them") as string,
    });
    expect(await Array.fromAsync(memento.history(pipeline))).toEqual([]);
    await memento.run(pipeline, { fresh: true, resume: false });
  });

  test("a stop between two batches keeps all finished work, and the next run goes on from there", async () => {
    const { memento, data } = await bench();
    const stop = new AbortController();
    const before = (n: number): void => {
      if (n === 35) stop.abort();
    };
    const stopped = await memento.run(
      load(() => memorySink<Row>({ table: data }), { before }),
      { signal: stop.signal },
    );
    expect(stopped.status).toBe("interrupted");
    expect(rowsOf(data)).toEqual(upTo(40));
    const result = await memento.run(load(() => memorySink<Row>({ table: data })));
    expect(result).toMatchObject({ status: "completed", resumed: true, recordsReadAgain: 0 });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("a paused run goes on only when it is told to", async () => {
    const { memento, data } = await bench();
    let fail = true;
    const pipeline = load(() => memorySink<Row>({ table: data }), {
      before: (n) => {
        if (fail && n === 55) throw new Error("stop here");
      },
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fail = false;
    let run = "";
    for await (const entry of memento.history(pipeline)) run = entry.run ?? run;
    expect(await memento.pause(run)).toMatchObject({ status: "paused" });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "RUN_PENDING" });
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("a live run that is asked to pause does so between two batches", async () => {
    const clock = new ManualClock();
    const { memento, data } = await bench(clock);
    let asked = false;
    const pipeline = definePipeline({
      name: "load",
      version: "1",
      batchRecords: 10,
      sources: { numbers: () => numbers(95) },
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [
        stage.task("copy", async (context) => {
          for await (const { records } of context.read("numbers")) {
            await context.write("table", records);
            if (asked) continue;
            asked = true;
            expect(await memento.pause(context.run.id)).toMatchObject({ status: "requested" });
            await clock.tick(3_000);
          }
        }),
      ],
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "paused" });
    expect(rowsOf(data)).toEqual(upTo(10));
    expect(await memento.run(pipeline, { resume: true })).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(95));
  });

  test("records that fail their schema are quarantined, stop the run, or fail it, as the stage says", async () => {
    const { memento, data } = await bench();
    const odd = {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: (value: unknown) =>
          (value as Row).n % 2 === 1 ? { value: value as Row } : { issues: [{ message: "even" }] },
      },
    };
    const with_ = (name: string, onInvalid: "fail" | "quarantine" | { stopAfter: number }): Pipeline =>
      definePipeline({
        name,
        version: "1",
        batchRecords: 10,
        sources: { numbers: () => numbers(40) },
        sinks: { table: () => memorySink<Row>({ table: data }) },
        stages: (stage) => {
          const extract = stage.read("extract", { source: "numbers" });
          const validate = stage.map("validate", { after: extract, schema: odd, onInvalid });
          return [extract, validate, stage.write("write", { after: validate, sink: "table" })];
        },
      });
    const result = await memento.run(with_("q", "quarantine"));
    expect(await result.output("validate")).toMatchObject({ recordsIn: 40, recordsOut: 20, invalid: 20 });
    await expect(memento.run(with_("f", "fail"))).rejects.toMatchObject({
      code: "RECORD_INVALID",
      message: expect.stringContaining("even"),
    });
    await expect(memento.run(with_("s", { stopAfter: 7 }))).rejects.toMatchObject({ code: "TOO_MANY_INVALID" });
  });
});
