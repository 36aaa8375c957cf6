import { describe, expect, test } from "vitest";

import { readAll } from "../../../../../../test/harness/source-reading.ts";
import { MementoError } from "../../../core/errors.ts";
import { fromIterable, iterableSource } from "./iterable-source.ts";
import type { PlacedRecord } from "./iterable-source.ts";

async function* letters(): AsyncGenerator<string> {
  for (const letter of "abcdefg") yield await Promise.resolve(letter);
}

describe("fromIterable()", () => {
  test.each([
    ["an iterable", (): Iterable<string> => "abcdefg"],
    ["an async iterable", letters],
  ])("resumes %s at every offset with exactly the records that remain", async (_, make) => {
    const source = fromIterable(make, { name: "letters", schemaVersion: "3" });
    expect(source).toMatchObject({ kind: "iterable", schemaVersion: "3" });
    expect(source.describe()).toBe("letters");
    const whole = await readAll(source, { batchRecords: 1 });
    expect(whole.records).toEqual("abcdefg".split(""));
    for (const [index, { offset }] of whole.batches.entries()) {
      const rest = await readAll(source, { from: offset, batchRecords: 2 });
      expect(rest).toMatchObject({ error: null, records: "abcdefg".split("").slice(index + 1) });
      const inspection = await source.inspect({ "0": offset }, { "0": whole.offset });
      expect(inspection).toEqual({ available: true, problem: "", recordsBetween: 6 - index });
    }
  });

  test("says SOURCE_RANGE_GONE where there are no longer as many records, and SOURCE_MOVED for another source's offset", async () => {
    const source = fromIterable(() => [1, 2, 3]);
    expect((await readAll(source, { from: 4 })).error).toMatchObject({ code: "SOURCE_RANGE_GONE" });
    expect((await readAll(source, { from: { byte: 1 } })).error).toMatchObject({ code: "SOURCE_MOVED" });
    expect(await source.inspect({ "0": "x" }, {})).toMatchObject({ available: false });
    expect(await source.inspect({ "0": 3 }, { "0": 1 })).toMatchObject({ available: true, recordsBetween: null });
  });

  test("gives the records before an error, then SOURCE_FAILED with its cause", async () => {
    const cause = new Error("the wire broke");
    const source = fromIterable(function* () {
      yield 1;
      yield 2;
      yield 3;
      throw cause;
    });
    const { records, batches, error } = await readAll(source, { batchRecords: 2 });
    expect(records).toEqual([1, 2, 3]);
    expect(batches.map(({ offset }) => offset)).toEqual([2, 3]);
    expect(error).toMatchObject({ code: "SOURCE_FAILED", cause });
  });
});

describe("iterableSource()", () => {
  const records = (from: unknown): PlacedRecord<number>[] =>
    [10, 20, 30].filter((record) => record > Number(from)).map((record) => ({ record, offset: record }));

  test("hands the offset to the function, and its answers to a plan", async () => {
    const asked: unknown[] = [];
    const source = iterableSource({
      name: "tens",
      records: (from) => {
        asked.push(from);
        return records(from);
      },
      inspect: (from, to) => ({
        available: from !== 20,
        problem: from === 20 ? "20 is gone" : "",
        recordsBetween: Number(to) / 10,
      }),
    });
    expect((await readAll(source)).records).toEqual([10, 20, 30]);
    expect((await readAll(source, { from: 10 })).records).toEqual([20, 30]);
    expect(asked).toEqual([null, 10]);
    expect(await source.inspect({ "0": 20 }, { "0": 30 })).toEqual({
      available: false,
      problem: "20 is gone",
      recordsBetween: 3,
    });
    const silent = iterableSource({ name: "tens", records });
    expect(await silent.inspect({}, { "0": 30 })).toEqual({ available: true, problem: "", recordsBetween: null });
  });

  test("passes our own errors on as they are", async () => {
    const moved = new MementoError("SOURCE_MOVED", "gone");
    const source = iterableSource<number>({
      name: "moved",
      records: () => {
        throw moved;
      },
    });
    expect((await readAll(source)).error).toBe(moved);
  });

  test("does not ask for more than is taken, and returns the iterable when it is left", async () => {
    let given = 0;
    let returned = false;
    const source = iterableSource({
      name: "endless",
      async *records() {
        try {
          while (true) {
            given += 1;
            yield { record: given, offset: given };
          }
        } finally {
          returned = true;
        }
      },
    });
    for await (const batch of source.read({ from: {}, batchRecords: 5, signal: new AbortController().signal })) {
      expect(batch).toEqual({ records: [1, 2, 3, 4, 5], partition: "0", offset: 5 });
      break;
    }
    expect({ given, returned }).toEqual({ given: 5, returned: true });
  });

  test("stops with CANCELLED while the iterable makes it wait for ever", async () => {
    const stop = new AbortController();
    let asked = (): void => {};
    const waiting = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const source = iterableSource<number>({
      name: "silent",
      async *records() {
        yield { record: 1, offset: 1 };
        asked();
        await new Promise(() => {});
      },
    });
    const reading = readAll(source, { batchRecords: 1, signal: stop.signal });
    await waiting;
    stop.abort(new Error("enough"));
    expect(await reading).toMatchObject({ records: [1], error: { code: "CANCELLED", cause: stop.signal.reason } });
  });
});
