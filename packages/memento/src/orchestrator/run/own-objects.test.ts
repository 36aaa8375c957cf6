import { describe, expect, test } from "vitest";

import { bench, numbers, rowsOf, upTo, type Row } from "../../../../../test/harness/number-runs.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { memorySink, MemoryTable } from "../sinks/index.ts";
import { fromIterable } from "../sources/index.ts";

const retry = { attempts: 3, initialMs: 1, jitter: false } as const;

interface Queue {
  readonly queue: number[];
}

/** Throws once, when it meets this number. */
function failingOnceAt(number: number): (n: number) => void {
  let armed = true;
  return (n) => {
    if (!armed || n !== number) return;
    armed = false;
    throw new Error("the network hums");
  };
}

/** Takes all numbers out of a queue, one after the other. */
async function drain({ queue }: Queue, take: (n: number) => Promise<void>): Promise<void> {
  for (let n = queue.shift(); n !== undefined; n = queue.shift()) await take(n);
}

describe("a further attempt", () => {
  test.each(["stage", "manual", "off"] as const)("has the input that the memento has (%s)", async (checkpoint) => {
    const { memento, data } = await bench();
    const check = failingOnceAt(3);
    const pipeline = definePipeline({
      name: "drain",
      version: "1",
      checkpoint,
      sinks: { out: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const list = stage.task("list", (): Queue => ({ queue: [1, 2, 3, 4] }));
        const send = stage.task("send", { after: { list }, retry }, async (context, input) => {
          await drain(input.list, async (n) => {
            check(n);
            await context.write("out", [{ n }]);
          });
        });
        return [list, send];
      },
    });
    expect(await memento.run(pipeline)).toMatchObject({ status: "completed" });
    expect(rowsOf(data)).toEqual(upTo(4));
  });

  test("has the input of before, too, when the one before was given up and goes on changing what it has", async () => {
    const { memento, data } = await bench();
    let attempts = 0;
    let goOn = (): void => undefined;
    const pipeline = definePipeline({
      name: "slow",
      version: "1",
      sinks: { out: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const list = stage.task("list", (): Queue => ({ queue: [1, 2, 3, 4] }));
        const send = stage.task("send", { after: { list }, retry, timeoutMs: 60 }, async (context, input) => {
          attempts += 1;
          if (attempts === 1) {
            input.list.queue.shift();
            await new Promise<void>((resolve) => (goOn = resolve));
            input.list.queue.shift();
          }
          goOn();
          for (const n of input.list.queue) await context.write("out", [{ n }]);
        });
        return [list, send];
      },
    });
    await memento.run(pipeline);
    expect(attempts).toBe(2);
    expect(rowsOf(data)).toEqual(upTo(4));
  });

  test("has the item that the list has, and items share nothing that one of them can change", async () => {
    const { memento, data } = await bench();
    const check = failingOnceAt(4);
    const shared = [10];
    const pipeline = definePipeline({
      name: "items",
      version: "1",
      sinks: { out: () => memorySink<Row>({ table: data }) },
      stages: (stage) => [
        stage.each(
          "send",
          { items: () => [[1, 2], [3, 4], shared, shared].map((queue) => ({ queue })), retry },
          async (context, item) =>
            await drain(item, async (n) => {
              check(n);
              await context.write("out", [{ n }]);
            }),
        ),
      ],
    });
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual([1, 2, 3, 4, 10, 10]);
  });

  test("has the run's parameters as they were given, and so has the next stage", async () => {
    const { memento } = await bench();
    const check = failingOnceAt(2);
    const drained = async (params: unknown): Promise<number[]> => {
      const seen: number[] = [];
      await drain(params as Queue, async (n) => {
        check(n);
        seen.push(n);
      });
      return seen;
    };
    const pipeline = definePipeline({
      name: "params",
      version: "1",
      stages: (stage) => {
        const first = stage.task("first", { retry }, async ({ params }) => await drained(params));
        return [first, stage.task("second", { after: [first] }, async ({ params }) => await drained(params))];
      },
    });
    const params = { queue: [1, 2, 3] };
    const result = await memento.run(pipeline, { params });
    expect([await result.output("first"), await result.output("second"), params.queue]).toEqual(Array(3).fill(upTo(3)));
  });

  test("has the records of an iterable as they were, where a map changes them in place", async () => {
    const { memento, data } = await bench();
    const rows = upTo(4).map((n) => ({ n }));
    const check = failingOnceAt(4);
    const pipeline = definePipeline({
      name: "tenfold",
      version: "1",
      sources: { rows: () => fromIterable(() => rows) },
      sinks: { out: () => memorySink<Row>({ table: data }) },
      stages: (stage) => {
        const read = stage.read("read", { source: "rows", retry });
        const map = stage.map("map", {
          after: read,
          run: (row) => {
            check(row.n);
            row.n *= 10;
            return row;
          },
        });
        return [read, map, stage.write("write", { after: map, sink: "out" })];
      },
    });
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual([10, 20, 30, 40]);
    expect(rows.map(({ n }) => n)).toEqual(upTo(4));
  });
});

describe("what several stages take", () => {
  /** The second stage takes a number out of what it is given; `end` counts what is left of it in the list, and in the state. */
  function counting(fails: () => void, checkpoint: "stage" | "manual"): Pipeline {
    return definePipeline({
      name: "counting",
      version: "1",
      checkpoint,
      stages: (stage) => {
        const list = stage.task("list", ({ state }): Queue => {
          const queue = [1, 2, 3];
          state["queue"] = queue;
          return { queue };
        });
        const pop = stage.task("pop", { after: { list } }, (_context, input) => input.list.queue.pop());
        const own = stage.task("own", { after: [pop] }, ({ state }) => void (state["queue"] as number[]).pop());
        const end = stage.task("end", { after: { list, pop, own } }, ({ state }, input) => {
          fails();
          return [input.list.queue.length, (state["queue"] as number[]).length];
        });
        return [list, pop, own, end];
      },
    });
  }

  test.each(["stage", "manual"] as const)("is for each of them what the memento has (%s)", async (checkpoint) => {
    for (const fails of [() => undefined, failingOnceAt(1)]) {
      const { memento } = await bench();
      const pipeline = counting(() => fails(1), checkpoint);
      await memento.run(pipeline).catch(() => undefined);
      const result = await memento.run(pipeline);
      expect(await result.output("list")).toEqual({ queue: [1, 2, 3] });
      expect(await result.output("end")).toEqual([3, 2]);
    }
  });

  test("records that one branch of a flow changes in place reach the others as they were read", async () => {
    const { memento, data } = await bench();
    const doubled = new MemoryTable<Row>();
    const pipeline = definePipeline({
      name: "branches",
      version: "1",
      sources: { numbers: () => numbers(5) },
      sinks: {
        raw: () => memorySink<Row>({ table: data }),
        doubled: () => memorySink<Row>({ table: doubled }),
      },
      stages: (stage) => {
        const read = stage.read("read", { source: "numbers" });
        const map = stage.map("map", { after: read, run: (row) => Object.assign(row, { n: row.n * 2 }) });
        return [
          read,
          map,
          stage.write("write doubled", { after: map, sink: "doubled" }),
          stage.write("write raw", { after: read, sink: "raw" }),
        ];
      },
    });
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual(upTo(5));
    expect(rowsOf(doubled)).toEqual([2, 4, 6, 8, 10]);
  });
});
