import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { passTime } from "../../../../../test/harness/time-passing.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { fromFunction } from "../credentials/environment.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { StageContext } from "../pipeline/stage.ts";
import { memorySink, MemoryTable } from "../sinks/index.ts";

/** Lets others go on for some turns. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve));
}

describe("concurrency", () => {
  test("stages run as soon as those they need are done, so many at once and no more", async () => {
    const { memento } = await bench();
    let [now, most] = [0, 0];
    const order: string[] = [];
    const work = (name: string, count: number) => async (): Promise<string> => {
      now += 1;
      most = Math.max(most, now);
      await turns(count);
      now -= 1;
      order.push(name);
      return name;
    };
    const pipeline = definePipeline({
      name: "diamond",
      version: "1",
      concurrency: 2,
      stages: (stage) => {
        const a = stage.task("a", work("a", 5));
        const b = stage.task("b", { after: [a] }, work("b", 40));
        const c = stage.task("c", { after: [a] }, work("c", 5));
        const d = stage.task("d", { after: [a] }, work("d", 5));
        return [stage.task("e", { after: { b, c, d } }, (_context, input) => Object.values(input)), a, b, c, d];
      },
    });
    const result = await memento.run(pipeline);
    expect(await result.output("e")).toEqual(["b", "c", "d"]);
    expect(most).toBe(2);
    expect(order).toEqual(["a", "c", "d", "b"]);
    expect((await memento.vault.load(result.head)).entry.status).toBe("completed");
    expect(await memento.verify()).toMatchObject({ sound: true });
  });

  interface Copies {
    readonly tables: Readonly<Record<string, MemoryTable<Row>>>;
    readonly before: (name: string, n: number, context: StageContext) => Promise<void> | void;
  }

  /** Copies numbers three times at once, each into a table of its own, saving after every 10. */
  function copies({ tables, before }: Copies): Pipeline {
    const names = Object.keys(tables);
    return definePipeline({
      name: "copies",
      version: "1",
      concurrency: 3,
      batchRecords: 5,
      checkpoint: { records: 10 },
      sources: Object.fromEntries(names.map((name) => [name, () => numbers(40)])),
      sinks: Object.fromEntries(
        names.map((name) => [name, () => memorySink<Row>({ table: tables[name] ?? new MemoryTable<Row>() })]),
      ),
      stages: (stage) => [
        ...names.map((name) =>
          stage.task(`copy ${name}`, async (context) => {
            for await (const { records } of context.read(name)) {
              await context.write(name, records);
              const { n } = records.at(-1) as Row;
              context.state[name] = n;
              await turns(n % 3);
              await before(name, n, context);
            }
            return context.state[name];
          }),
        ),
        stage.task("end", { after: names.map((name) => `copy ${name}`) }, ({ state }) => ({ ...state })),
      ],
    });
  }

  const threeTables = (): Record<string, MemoryTable<Row>> => ({
    a: new MemoryTable<Row>(),
    b: new MemoryTable<Row>(),
    c: new MemoryTable<Row>(),
  });

  test("a memento of one stage holds nothing of what another has half done", async () => {
    const { memento, onEvent, events } = await bench();
    const tables = threeTables();
    const result = await memento.run(copies({ tables, before: () => undefined }), { onEvent });
    expect(await result.output("end")).toEqual({ a: 40, b: 40, c: 40 });
    let several = 0;
    for (const event of events) {
      if (event.type !== "saved") continue;
      const opened = await memento.vault.load(event.entry.id);
      const [offsets, state] = [await opened.values("offsets/"), await opened.values("state/")];
      for (const name of ["a", "b", "c"]) {
        const offset = (offsets.get(name) as { "0": number } | undefined)?.["0"] ?? 0;
        expect(state.get(name) ?? 0).toBe(offset);
        expect([0, 10, 20, 30, 40]).toContain(offset);
      }
      if (opened.keys("progress/").length > 1) several += 1;
    }
    expect(several).toBeGreaterThan(3);
  });

  test("one that fails lets the others come to the end of their batches; the run goes on from what each has kept", async () => {
    for (let failAt = 5; failAt <= 40; failAt += 5) {
      const { memento } = await bench();
      const tables = threeTables();
      let armed = true;
      const pipeline = copies({
        tables,
        before: (name, n) => {
          if (armed && name === "b" && n === failAt) throw new Error("b is ill");
        },
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({
        code: "STAGE_FAILED",
        message: "Stage copy b of pipeline copies failed: b is ill",
      });
      for await (const entry of memento.history(pipeline)) {
        expect(entry).toMatchObject({ status: "failed", stage: "copy b" });
        break;
      }
      armed = false;
      const result = await memento.run(pipeline);
      expect(result).toMatchObject({ status: "completed", resumed: true });
      expect(await result.output("end")).toEqual({ a: 40, b: 40, c: 40 });
      for (const table of Object.values(tables)) expect(rowsOf(table)).toEqual(upTo(40));
    }
  });

  test("Ctrl-C keeps what all of them have done", async () => {
    const { memento } = await bench();
    const tables = threeTables();
    const stop = new AbortController();
    const pipeline = copies({ tables, before: (name, n) => void (name === "c" && n === 15 && stop.abort()) });
    const stopped = await memento.run(pipeline, { signal: stop.signal });
    expect(stopped.status).toBe("interrupted");
    expect((await memento.vault.load(stopped.head)).entry.status).toBe("interrupted");
    const result = await memento.run(pipeline);
    expect(result).toMatchObject({ status: "completed", recordsReadAgain: 0 });
    for (const table of Object.values(tables)) expect(rowsOf(table)).toEqual(upTo(40));
  });

  test("two that change the same key of the state differently are told so, and same values are no conflict", async () => {
    const { memento } = await bench();
    const setting = (second: number): Pipeline =>
      definePipeline({
        name: `set-${second}`,
        version: "1",
        concurrency: 2,
        stages: (stage) => [
          stage.task("one", async ({ state }) => {
            state["key"] = { value: 1 };
            await turns(5);
          }),
          stage.task("two", async ({ state }) => {
            state["key"] = { value: second };
            await turns(10);
          }),
        ],
      });
    expect(await memento.run(setting(1))).toMatchObject({ status: "completed" });
    await expect(memento.run(setting(2))).rejects.toMatchObject({
      code: "STATE_CONFLICT",
      message: "Stage two and another one that ran at the same time changed state.key differently",
    });
    // Taken up again it sees what the other has left.
    expect(await memento.run(setting(2))).toMatchObject({ status: "completed", resumed: true });
  });

  const sharing = (data: MemoryTable<Row>, crossed: boolean): Pipeline =>
    definePipeline({
      name: "sharing",
      version: "1",
      concurrency: 2,
      sinks: { x: () => memorySink<Row>({ table: data }), y: () => memorySink<Row>({ table: data }) },
      stages: (stage) =>
        ([1, 2] as const).map((n) =>
          stage.task(`stage-${n}`, async (context) => {
            const [first, second] = crossed && n === 2 ? (["y", "x"] as const) : (["x", "y"] as const);
            await context.write(first, [{ n }]);
            await turns(5);
            await context.write(second, [{ n: n * 10 }]);
          }),
        ),
    });

  test("a sink that two want belongs to one after the other; a circle of waiting is refused by name", async () => {
    const { memento, data } = await bench();
    expect(await memento.run(sharing(data, false))).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual([1, 2, 10, 20]);
    const other = new MemoryTable<Row>();
    await expect(memento.run(sharing(other, true))).rejects.toMatchObject({
      code: "INVALID_PIPELINE",
      message: expect.stringMatching(/stage-[12] \(waits for sink [xy]\) and stage-[12] \(waits for sink [xy]\)/u),
    });
  });

  test("a slow stage is saved as often as it asks for, however often one beside it is", async () => {
    const clock = new ManualClock();
    const { memento, events, onEvent } = await bench(clock);
    const copy =
      (source: string, stepMs: number) =>
      async (context: StageContext): Promise<void> => {
        for await (const _batch of context.read(source)) await clock.sleep(stepMs);
      };
    const pipeline = definePipeline({
      name: "paces",
      version: "1",
      concurrency: 2,
      batchRecords: 1,
      checkpoint: { ms: 60 },
      sources: { many: () => numbers(100), few: () => numbers(10) },
      stages: (stage) => [stage.task("fast", copy("many", 10)), stage.task("slow", copy("few", 100))],
    });
    await passTime(clock, memento.run(pipeline, { onEvent }), 10);
    const saves = events.flatMap((event) =>
      event.type === "saved" ? [`${event.entry.reason} ${event.entry.stage}`] : [],
    );
    expect(saves.filter((save) => save === "interval slow")).toHaveLength(10);
    expect(saves.filter((save) => save === "interval fast").length).toBeGreaterThan(10);
  });

  test("an approval is waited for when nothing else can be done", async () => {
    const { memento } = await bench();
    const pipeline = definePipeline({
      name: "approvals",
      version: "1",
      concurrency: 3,
      stages: (stage) => {
        const one = stage.approval("one");
        const two = stage.approval("two");
        const work = stage.task("work", async () => await turns(20));
        const more = stage.task("more", { after: [work] }, () => "more");
        return [one, two, work, more, stage.task("end", { after: [one, two, more] }, () => "end")];
      },
    });
    const paused = await memento.run(pipeline);
    expect(paused).toMatchObject({ status: "paused", waitingFor: "one" });
    expect(await paused.output("more")).toBe("more");
    await expect(memento.approve(paused.run)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await memento.approve(paused.run, { stage: "two" });
    expect(await memento.run(pipeline)).toMatchObject({ status: "paused", waitingFor: "one" });
    await memento.approve(paused.run);
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
  });
});

describe("pipeline()", () => {
  const child = definePipeline<{ readonly count: number }, { readonly numbers: ReturnType<typeof numbers> }>({
    name: "child",
    version: "1",
    batchRecords: 10,
    checkpoint: { records: 10 },
    params: {
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
    },
    sources: { numbers: ({ params }) => numbers(params.count) },
    stages: (stage) => {
      const count = stage.task("count", async (context) => {
        let sum = 0;
        for await (const { records } of context.read("numbers")) {
          sum += records.length;
          context.state["sum"] = sum;
        }
        return { sum, offsets: context.offsets, wanted: context.params.count };
      });
      return [count, stage.task("double", { after: { count } }, (_context, input) => input.count.sum * 2)];
    },
  });
  const grandchild = definePipeline({
    name: "middle",
    version: "1",
    stages: (stage) => [
      stage.task("before", ({ state }) => void (state["mine"] = "middle")),
      stage.pipeline("inner", child, { after: ["before"], params: () => ({ count: 7 }) }),
    ],
  });
  const parent = (fail: () => boolean, data: MemoryTable<Row>): Pipeline =>
    definePipeline<{ readonly size: number }>({
      name: "parent",
      version: "1",
      sinks: { table: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const first = stage.task("first", ({ state }) => void (state["sum"] = "the parent's"));
        const part = stage.pipeline("part", child, { after: [first], params: ({ size }) => ({ count: size }) });
        const nested = stage.pipeline("nested", grandchild, { after: [part] });
        const end = stage.task("end", { after: { part, nested } }, (context, input) => {
          if (fail()) throw new Error("not yet");
          return { input, state: { ...context.state }, offsets: context.offsets };
        });
        return [first, part, nested, end];
      },
    });

  test("its stages, sources and state are its own, and lie on the timeline of the whole", async () => {
    const { memento, data } = await bench();
    const pipeline = parent(() => false, data);
    const names = ["first", "part.count", "part.double", "part", "nested.before", "nested.inner.count"];
    expect(pipeline.stages.map(({ name }) => name)).toEqual([
      ...names,
      "nested.inner.double",
      "nested.inner",
      "nested",
      "end",
    ]);
    const result = await memento.run(pipeline, { params: { size: 25 } });
    expect(await result.output("part.count")).toEqual({ sum: 25, offsets: { numbers: { "0": 25 } }, wanted: 25 });
    expect(await result.output("end")).toEqual({
      input: { part: { double: 50 }, nested: { inner: { double: 14 } } },
      state: {
        sum: "the parent's",
        "part.": { sum: 25 },
        "nested.": { mine: "middle" },
        "nested.inner.": { sum: 7 },
      },
      offsets: { "part.numbers": { "0": 25 }, "nested.inner.numbers": { "0": 7 } },
    });
  });

  test("a resumption and a rollback cover both", async () => {
    const { memento, data } = await bench();
    let fails = true;
    const pipeline = parent(() => fails, data);
    await expect(memento.run(pipeline, { params: { size: 25 } })).rejects.toMatchObject({ code: "STAGE_FAILED" });
    fails = false;
    const resumed = await memento.run(pipeline);
    expect(resumed).toMatchObject({ status: "completed", resumed: true });
    expect(resumed.skipped).toContain("nested.inner.double");
    const plan = await memento.plan(pipeline, "stage:first");
    await memento.rollback(pipeline, "stage:first", { plan: plan.hash });
    const again = await memento.run(pipeline);
    expect(again.skipped).toEqual(["first"]);
    expect(await again.output("part")).toEqual({ double: 50 });
  });

  test("its parameters are judged before anything runs, and its credentials are its own", async () => {
    const { memento, data } = await bench();
    await expect(
      memento.run(
        parent(() => false, data),
        { params: { size: "x" } },
      ),
    ).rejects.toMatchObject({
      code: "PARAMS_INVALID",
      message: "The parameters of part (pipeline child) do not fit: count: expected a number",
    });
    const secretive = definePipeline({
      name: "secretive",
      version: "1",
      credentials: { key: fromFunction("k", async () => "s3cret") },
      stages: (stage) => [stage.task("use", (context) => context.credentials.key.value.length)],
    });
    const whole = definePipeline({
      name: "whole",
      version: "1",
      stages: (stage) => [stage.pipeline("a", secretive), stage.pipeline("b", secretive)],
    });
    const result = await memento.run(whole);
    expect(await result.output("b.use")).toBe(6);
  });
});
