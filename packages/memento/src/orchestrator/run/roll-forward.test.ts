import { describe, expect, test } from "vitest";

import { bench, numbers, type Row, rowsOf, upTo } from "../../../../../test/harness/number-runs.ts";
import { MementoError } from "../../core/errors.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { chaosStore } from "../../testing/chaos-store.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import { MemoryTable, memorySink, type Sink, type SinkMark } from "../sinks/index.ts";
import type { Source } from "../sources/source.ts";
import { lastTokenOf, rollsForward } from "./roll-forward.ts";

/** A sink that can take nothing back, as a topic: its marks have the last token, and rows stay. `fail` may throw after a write. */
function outbox(table: MemoryTable<Row>, fail: (rows: readonly Row[]) => void = () => undefined): Sink<Row> {
  const inner = memorySink<Row>({ table });
  let last = "";
  const withToken = (mark: SinkMark): SinkMark =>
    mark === null ? null : { ...(mark as object), token: tokens.get(table)?.get(JSON.stringify(mark)) ?? last };
  return {
    kind: "outbox",
    supports: { revert: "none", foreignChanges: false, tokens: true },
    describe: () => "an outbox",
    open: async (context) => await inner.open(context),
    place: async () => await inner.place(),
    fence: async (epoch) => await inner.fence(epoch),
    mark: async () => withToken(await inner.mark()),
    write: async (rows, write) => {
      const written = await inner.write(rows, write);
      const known = tokens.get(table) ?? new Map<string, string>();
      if (!written.duplicate) known.set(JSON.stringify(written.mark), write.token);
      tokens.set(table, known);
      last = write.token;
      fail(rows);
      return { ...written, mark: withToken(written.mark) };
    },
    inspect: async (mark) => {
      const { remove, ...rest } = await inner.inspect(mark);
      return { ...rest, remove: 0, ...(remove === 0 ? {} : { stays: { total: remove, items: ["outbox"] } }) };
    },
    revertTo: async () => {
      throw new Error("an outbox takes nothing back");
    },
    trim: async () => undefined,
    close: async () => await inner.close(),
  };
}

const tokens = new WeakMap<MemoryTable<Row>, Map<string, string>>();

interface SendOptions {
  readonly retry?: { readonly attempts: number; readonly initialMs: number };
  readonly source?: () => Source<Row>;
  readonly fail?: (rows: readonly Row[]) => void;
  readonly map?: (row: Row) => Row | undefined;
}

function send(
  table: MemoryTable<Row>,
  { source = () => numbers(35), fail, map = (row) => row, retry }: SendOptions = {},
): Pipeline {
  return definePipeline({
    name: "send",
    version: "1",
    batchRecords: 10,
    sources: { numbers: source },
    sinks: { outbox: () => outbox(table, fail) },
    stages: (stage) => {
      const read = stage.read("read", { source: "numbers", ...(retry === undefined ? {} : { retry }) });
      const shape = stage.map("shape", { after: read, run: map });
      const write = stage.write("write", { after: shape, sink: "outbox" });
      return [read, shape, write];
    },
  });
}

/** Throws once after the batch with this number was written. */
function failAt(number: number): (rows: readonly Row[]) => void {
  let armed = true;
  return (rows) => {
    if (!armed || !rows.some(({ n }) => n === number)) return;
    armed = false;
    throw new Error("the answer is lost");
  };
}

describe("a sink that takes nothing back", () => {
  test("gets each record once, wherever the run was cut short after a write", async () => {
    for (const number of [1, 11, 25, 35]) {
      const { memento, data, events, onEvent } = await bench();
      const fail = failAt(number);
      await expect(memento.run(send(data, { fail }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
      const result = await memento.run(send(data, { fail }), { onEvent });
      expect(result).toMatchObject({ status: "completed", resumed: true });
      expect(rowsOf(data), `cut short after ${number}`).toEqual(upTo(35));
      const kept = number === 35 ? 5 : 10;
      expect(events.find(({ type }) => type === "sink-kept")).toMatchObject({ sink: "outbox", records: kept });
    }
  });

  test("gets each record once where another source is read in the middle of a batch", async () => {
    for (const number of [1, 11, 101, 111, 121]) {
      const { memento, data } = await bench();
      const fail = failAt(number);
      const pipeline = definePipeline({
        name: "nested",
        version: "1",
        batchRecords: 10,
        checkpoint: { records: 10 },
        sources: { numbers: () => numbers(35), others: () => numbers(25) },
        sinks: { outbox: () => outbox(data, fail) },
        stages: (stage) => [
          stage.task("send", async ({ read, write }) => {
            for await (const { records } of read("numbers")) {
              await write("outbox", records);
              for await (const other of read("others"))
                await write(
                  "outbox",
                  (other.records as readonly Row[]).map(({ n }) => ({ n: n + 100 })),
                );
            }
          }),
        ],
      });
      await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      await memento.run(pipeline);
      expect(rowsOf(data), `cut short after ${number}`).toEqual([...upTo(35), ...upTo(25).map((n) => n + 100)]);
    }
  });

  test("gets the same batch again where more has come to the source since", async () => {
    const { memento, data } = await bench();
    const fail = failAt(35);
    await expect(memento.run(send(data, { fail }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await memento.run(send(data, { fail, source: () => numbers(48) }));
    expect(rowsOf(data)).toEqual(upTo(48));
  });

  test("a place without records is kept, is seen by no stage, and stands in no batch's way", async () => {
    const { memento, data } = await bench();
    const fail = failAt(1);
    const placed = (count: number): Source<Row> => {
      const source = numbers(count);
      return {
        ...source,
        async *read(options) {
          if (Object.keys(options.from).length === 0) yield { records: [], partition: "0", offset: 0 };
          yield* source.read(options);
        },
      };
    };
    await expect(memento.run(send(data, { fail, source: () => placed(15) }))).rejects.toMatchObject({
      code: "STAGE_FAILED",
    });
    await memento.run(send(data, { fail, source: () => placed(15) }));
    expect(rowsOf(data)).toEqual(upTo(15));
    const sizes: number[] = [];
    const looks = definePipeline({
      name: "looks",
      version: "1",
      sources: { empty: () => placed(0), some: () => placed(3) },
      stages: (stage) => [
        stage.task("read", async (context) => {
          for (const name of ["empty", "some"] as const)
            for await (const { records } of context.read(name)) sizes.push(records.length);
        }),
        stage.task("told", async ({ offsets }) => ({ ...offsets })),
      ],
    });
    const result = await memento.run(looks);
    expect(sizes).toEqual([3]);
    expect(await result.output("told")).toEqual({ empty: { "0": 0 }, some: { "0": 3 } });
  });

  test("a source that no longer gives that batch is refused with SOURCE_MOVED, and nothing is sent", async () => {
    const { memento, data } = await bench();
    const fail = failAt(35);
    await expect(memento.run(send(data, { fail }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await expect(memento.run(send(data, { source: () => numbers(33) }))).rejects.toMatchObject({
      code: "SOURCE_MOVED",
      message: expect.stringContaining("5 records of partition 0") as string,
    });
    expect(rowsOf(data)).toEqual(upTo(35));
  });

  test("a batch that gives no write any more uses up the token that was taken for it", async () => {
    const { memento, data } = await bench();
    const fail = failAt(11);
    await expect(memento.run(send(data, { fail }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    const without = ({ n }: Row): Row | undefined => (n > 10 && n <= 20 ? undefined : { n });
    await memento.run(send(data, { map: without }));
    expect(rowsOf(data)).toEqual(upTo(35));
  });

  test("a new run goes on behind what the one before has sent: under tokens of its own", async () => {
    const { memento, data, events, onEvent } = await bench();
    const fail = failAt(11);
    await expect(memento.run(send(data, { fail }))).rejects.toMatchObject({ code: "STAGE_FAILED" });
    await memento.run(send(data), { fresh: true, onEvent });
    expect(events.find(({ type }) => type === "sink-kept")).toMatchObject({ records: 10 });
    // The run that was left behind had sent the batch, and the new one sends it as its own.
    const twice = [...upTo(35), ...Array.from({ length: 10 }, (_none, index) => 11 + index)];
    expect(rowsOf(data)).toEqual(twice.toSorted((a, b) => a - b));
  });

  test("a batch that was sent comes again as it was where the memento of the next one failed", async () => {
    const table = new MemoryTable<Row>();
    let isFull = false;
    const store = chaosStore(await MemoryStore.open(), {
      before: ({ method }) => {
        if (!isFull || method !== "append") return;
        isFull = false;
        throw new MementoError("DISK_FULL", "the store is full");
      },
    });
    await using memento = await Memento.open(store, { keys: { raw: [new Uint8Array(32).fill(7)] } });
    let reads = 0;
    const [begun, all] = [numbers(5), numbers(35)];
    // Five numbers were there when the first attempt looked.
    const growing: Source<Row> = {
      ...all,
      async *read(wanted) {
        reads += 1;
        if (reads > 1) {
          yield* all.read(wanted);
          return;
        }
        yield* begun.read(wanted);
        isFull = true;
        yield* all.read({ ...wanted, from: { 0: 5 } });
      },
    };
    await memento.run(send(table, { source: () => growing, retry: { attempts: 2, initialMs: 1 } }));
    expect(reads).toBeGreaterThan(1);
    expect(rowsOf(table)).toEqual(upTo(35));
  });

  test("each attempt of a retry passes over what an earlier one has sent", async () => {
    const { memento, data } = await bench();
    let failures = 0;
    const pipeline = definePipeline({
      name: "retry",
      version: "1",
      sinks: {
        outbox: () =>
          outbox(data, () => {
            failures += 1;
            if (failures < 3) throw new Error("the answer is lost");
          }),
      },
      stages: (stage) => [
        stage.task("send", { retry: { attempts: 5, initialMs: 1 } }, async (context) => {
          for (const n of [1, 2, 3]) await context.write("outbox", [{ n }]);
        }),
      ],
    });
    await memento.run(pipeline);
    expect(rowsOf(data)).toEqual([1, 2, 3]);
  });
});

describe("rollsForward()", () => {
  test.each([
    ["rows", true, false],
    ["versions", true, false],
    ["compensate", true, true],
    ["none", true, true],
    ["none", false, false],
  ] as const)("a sink that reverts by %s, with tokens %s: %s", (revert, hasTokens, forward) => {
    expect(rollsForward({ supports: { revert, tokens: hasTokens, foreignChanges: false } })).toBe(forward);
  });
});

describe("lastTokenOf()", () => {
  test.each<[SinkMark, ReturnType<typeof lastTokenOf>]>([
    [
      { position: 3, token: "line:a:2:stage: one:17" },
      { prefix: "line:a:2:stage: one", batch: 17 },
    ],
    [{ position: 3, token: "line:2:restore:memento" }, null],
    [{ position: 3 }, null],
    [null, null],
  ])("of %j is %j", (mark, expected) => expect(lastTokenOf(mark)).toEqual(expected));
});
