import { describe, expect, test } from "vitest";

import { RowCheck } from "./row-check.ts";

function checkOf(...values: unknown[]): bigint {
  const check = new RowCheck();
  check.update(values, 0);
  return check.current();
}

describe("RowCheck", () => {
  test("gives the values of version 1, which lie in databases", () => {
    const row = [1n, -2n, 2n ** 62n, 0.1, "JFK ünï😀", "", null, new Uint8Array([0, 255])];
    expect(checkOf(...row)).toBe(9218604181486040966n);
    expect(checkOf()).toBe(1296195478705344789n);
  });

  test.each([
    ["types", [5n], [5]],
    ["a number and its text", [5n], ["5"]],
    ["text and bytes", ["a"], [new Uint8Array([97])]],
    ["NULL and empty text", [null], [""]],
    ["where one text ends", ["ab", "c"], ["a", "bc"]],
    ["the order of columns", [1n, 2n], [2n, 1n]],
    ["the number of columns", [null], [null, null]],
    ["the last bit of an integer", [2n ** 62n], [2n ** 62n + 1n]],
    ["the last bit of a number", [0.1], [0.1 + 2 ** -56]],
    ["the sign of zero", [0], [-0]],
    ["one character", ["2001-01-01 00:00"], ["2001-01-01 00:01"]],
  ])("tells %s apart", (_, one, other) => {
    expect(checkOf(...one)).not.toBe(checkOf(...other));
  });

  test("takes no notice of what it checked before", () => {
    const check = new RowCheck();
    check.update(["something", 1n], 0);
    check.update(["x"], 0);
    expect(check.current()).toBe(checkOf("x"));
  });

  test("has no two alike among 300,000 rows that differ little", () => {
    const seen = new Set<bigint>();
    const check = new RowCheck();
    for (let index = 0; index < 300_000; index++) {
      check.update([BigInt(index % 1000), Math.floor(index / 1000), "SFO"], 0);
      seen.add(check.current());
    }
    expect(seen.size).toBe(300_000);
  });

  test("writes to a view what it gives as a number", () => {
    const check = new RowCheck();
    check.update(["x", 2.5], 0);
    const view = new DataView(new ArrayBuffer(16));
    check.writeTo(view, 8);
    expect(view.getBigInt64(8, true)).toBe(check.current());
  });
});
