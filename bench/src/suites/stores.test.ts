import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { describe, test } from "node:test";

import { readArguments } from "../arguments.ts";
import { toRow } from "../report.ts";
import { Scratch } from "../scratch.ts";
import { renderStores } from "./stores-table.ts";
import { rateOf, storesSuite } from "./stores.ts";

describe("storesSuite()", () => {
  test("measures saves and loads of ours and of the bare client, for each size and number of writers", async () => {
    const line = "stores --only sqlite,file --writers 1,8 --sizes 1KB --rounds 1";
    const args = readArguments(line.split(" "), tmpdir());
    assert.ok(args !== "help");
    using scratch = new Scratch(tmpdir());
    const comparisons = await storesSuite({
      ...args,
      seconds: 0.05,
      scratch,
      say: () => undefined,
      print: () => undefined,
    });
    const rows = comparisons.map(toRow);
    assert.deepEqual(
      rows.map(({ work }) => work),
      ["sqlite", "file"].flatMap((engine) =>
        ["1 writer", "8 writers"].flatMap((writers) =>
          ["saves", "loads"].map((figure) => `stores/${engine}/1KB/${writers}: ${figure}`),
        ),
      ),
    );
    assert.ok(rows.every(({ ours, ratio, met }) => ours > 0 && ratio !== null && ratio > 0 && met === null));
    const table = renderStores(comparisons).split("\n");
    assert.equal(table.length, 2 + 4);
    assert.match(table[2] ?? "", /^sqlite +1KB +1 writer +[\d.,]+ \/s +[\d.,]+ \/s +[\d.]+x +[\d.,]+ \/s/);
  });
});

describe("rateOf()", () => {
  test("gives each writer one call at a time, numbers them through, and ends by time or number", async () => {
    const under = new Set<number>();
    const numbers: number[] = [];
    const rate = await rateOf({ writers: 3, seconds: 60, most: 10 }, async (writer, number) => {
      assert.ok(!under.has(writer));
      under.add(writer);
      numbers.push(number);
      await Promise.resolve();
      under.delete(writer);
    });
    assert.ok(rate > 0);
    assert.deepEqual(
      numbers.toSorted((a, b) => a - b),
      Array.from({ length: numbers.length }, (_, index) => index),
    );
    assert.ok(numbers.length >= 10 && numbers.length <= 12);
  });
});
