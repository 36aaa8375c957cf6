import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { interleave, median } from "./measure.ts";

describe("interleave()", () => {
  test("turns the order around in every other round and drops the warm-up's figures", async () => {
    const calls: string[] = [];
    const contender = (name: string) => ({
      name,
      measure: async (round: number) => {
        calls.push(`${name}${round}`);
        return round;
      },
    });
    const samples = await interleave([contender("a"), contender("b")], { warmUps: 1, rounds: 2 });
    assert.deepEqual(calls, ["a0", "b0", "b1", "a1", "a2", "b2"]);
    assert.deepEqual(Object.fromEntries(samples), { a: [1, 2], b: [1, 2] });
  });

  test("ends with the error of a contender that fails", async () => {
    const failing = { name: "a", measure: () => Promise.reject(new Error("no server")) };
    await assert.rejects(interleave([failing], { warmUps: 0, rounds: 1 }), /no server/);
  });
});

describe("median()", () => {
  test("is the middle value, or the mean of the two middle ones", () => {
    assert.equal(median([3]), 3);
    assert.equal(median([1, 100, 2]), 2);
    assert.equal(median([10, 9, 1, 2]), 5.5);
  });

  test("refuses an empty list", () => {
    assert.throws(() => median([]), RangeError);
  });
});
