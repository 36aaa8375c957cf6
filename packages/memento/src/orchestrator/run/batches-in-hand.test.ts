import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { StageContext } from "../pipeline/stage.ts";
import { memorySink, type MemoryTable } from "../sinks/index.ts";

/** Lets others go on for some turns. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => void setImmediate(resolve));
}

/** A stage that reads two sources, of the numbers to 20 and of those from 101 to 120, in batches of 5 with a memento after each. */
const reading = (
  data: MemoryTable<Row>,
  run: (context: StageContext) => Promise<unknown>,
  { concurrency = 1 } = {},
): Pipeline =>
  definePipeline({
    name: "reading",
    version: "1",
    batchRecords: 5,
    concurrency,
    checkpoint: { records: 5 },
    sources: { numbers: () => numbers(20), others: () => numbers(20) },
    sinks: { out: () => memorySink<Row>({ table: data }), more: () => memorySink<Row>({ table: data }) },
    stages: (stage) => [stage.task("read", async (context) => await run(context))],
  });

const higher = (records: readonly unknown[]): Row[] => (records as readonly Row[]).map(({ n }) => ({ n: n + 100 }));
const both = [...upTo(20), ...upTo(20).map((n) => n + 100)];

describe("a batch in hand", () => {
  test.each([1, 2])(
    "is in no memento that is due while another source is read in its midst; concurrency: %s",
    async (concurrency) => {
      for (const failAt of [1, 6, 11, 16]) {
        const { memento, data, events, onEvent } = await bench();
        let armed = true;
        const run = async (context: StageContext): Promise<void> => {
          for await (const { records } of context.read("numbers")) {
            await context.write("out", records);
            for await (const other of context.read("others")) await context.write("out", higher(other.records));
            if (!armed || (records[0] as Row).n !== failAt) continue;
            armed = false;
            throw new Error("the power is gone");
          }
        };
        const pipeline = reading(data, run, { concurrency });
        await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
        await memento.run(pipeline, { onEvent });
        expect(rowsOf(data)).toEqual(both);
        const saved = events.filter((event) => event.type === "saved" && event.entry.reason === "interval");
        expect(saved).toHaveLength((21 - failAt) / 5);
      }
    },
  );

  test.each([1, 2])(
    "of one loop is in no memento of another that goes on at once; concurrency: %s",
    async (concurrency) => {
      for (let failAt = 1; failAt <= 20; failAt += 1) {
        const { memento, data } = await bench();
        let armed = true;
        const loop = async (context: StageContext, source: "numbers" | "others"): Promise<void> => {
          for await (const { records } of context.read(source)) {
            const { n } = records[0] as Row;
            await turns(n % 3);
            await context.write("out", source === "others" ? higher(records) : records);
            await turns(source === "others" ? 2 : 2 * n);
            if (!armed || (records as Row[]).every((row) => row.n !== failAt)) continue;
            armed = false;
            throw new Error("the power is gone");
          }
        };
        const run = async (context: StageContext): Promise<void> =>
          void (await Promise.all([loop(context, "others"), loop(context, "numbers")]));
        const pipeline = reading(data, run, { concurrency });
        await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
        await memento.run(pipeline);
        expect(rowsOf(data)).toEqual(both);
      }
    },
  );

  test("is waited for by a stop: with another one in its midst the stage goes back to its last memento", async () => {
    const { memento, data } = await bench();
    const stop = new AbortController();
    const run = async (context: StageContext): Promise<void> => {
      for await (const { records } of context.read("numbers")) {
        await context.write("out", records);
        for await (const other of context.read("others")) {
          await context.write("out", higher(other.records));
          if ((other.records[0] as Row).n === 6) stop.abort();
        }
      }
    };
    const pipeline = reading(data, run);
    expect(await memento.run(pipeline, { signal: stop.signal })).toMatchObject({ status: "interrupted" });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed", resumed: true });
    expect(rowsOf(data)).toEqual(both);
  });

  test.each(["checkpoint", "sleep"] as const)("has no %s in its midst", async (what) => {
    const { memento, data } = await bench();
    let inside = true;
    const rest = async (context: StageContext): Promise<unknown> =>
      what === "sleep" ? await context.sleep("a moment", 1) : await context.checkpoint();
    const pipeline = reading(data, async (context) => {
      for await (const { records } of context.read("numbers")) {
        await context.write("out", records);
        if (inside && (records[0] as Row).n === 6) await rest(context);
      }
      await rest(context);
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `Stage read calls ${what} in the middle of a batch of the source numbers`,
      hint: expect.stringContaining("before or behind the loop"),
    });
    inside = false;
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(20));
  });
});

describe("a loop that is left", () => {
  test("before a write gives its batch back, to a later loop or the next run", async () => {
    const { memento, data } = await bench();
    const pipeline = reading(data, async (context) => {
      let taken = 0;
      for await (const { records } of context.read("numbers")) {
        if (taken === 1) break;
        taken += 1;
        await context.write("out", records);
      }
      for await (const { records } of context.read("numbers")) {
        if (taken === 2) break;
        taken += 1;
        await context.write("more", records);
      }
    });
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual(upTo(10));
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual(upTo(20));
  });

  const left = {
    "by break": async (context: StageContext) => {
      for await (const { records } of context.read("numbers")) {
        await context.write("out", records);
        break;
      }
    },
    "by break, with a write that nobody has waited for": async (context: StageContext) => {
      for await (const { records } of context.read("numbers")) {
        context.write("out", records).catch(() => undefined);
        break;
      }
    },
    "by an error that is caught": async (context: StageContext) => {
      try {
        for await (const { records } of context.read("numbers")) {
          await context.write("out", records.slice(0, 2));
          throw new Error("that will do");
        }
      } catch {
        // It goes on.
      }
    },
    "by asking no more": async (context: StageContext) => {
      const batches = context.read("numbers")[Symbol.asyncIterator]();
      const next = await batches.next();
      if (next.done !== true) await context.write("out", next.value.records);
    },
  };
  test.each(Object.entries(left))("after a write, %s, is refused, and nothing of it stays", async (_how, run) => {
    const { memento, data } = await bench();
    await expect(memento.run(reading(data, run))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message:
        'Stage read has left its loop over the source numbers in the middle of a batch of which it has written to out: the 5 records after "its start", up to 5, would come again',
      hint: expect.stringContaining("before the first write"),
    });
    const mended = reading(data, async (context) => {
      for await (const { records } of context.read("numbers")) await context.write("out", records);
    });
    await memento.run(mended);
    expect(rowsOf(data)).toEqual(upTo(20));
  });
});

test("a source that is being read is not read a second time, at once or in the middle of its batch", async () => {
  const { memento, data } = await bench();
  const loop = async (context: StageContext): Promise<void> => {
    for await (const { records } of context.read("numbers")) await context.write("out", records);
  };
  const twice = [
    async (context: StageContext) => await Promise.all([loop(context), loop(context)]),
    async (context: StageContext) => {
      for await (const _batch of context.read("numbers")) await loop(context);
    },
  ];
  for (const run of twice)
    await expect(memento.run(reading(data, run))).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: "Stage read begins to read the source numbers, which it is reading: each record would come twice",
    });
  await memento.run(reading(data, loop));
  expect(rowsOf(data)).toEqual(upTo(20));
});
