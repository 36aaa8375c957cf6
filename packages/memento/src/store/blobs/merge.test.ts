import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { merge } from "./merge.ts";

async function* stream(numbers: readonly number[], ended: () => void): AsyncIterable<number> {
  try {
    yield* numbers;
  } finally {
    ended();
  }
}

describe("merge()", () => {
  test("gives everything of every stream in one order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.integer())), async (lists) => {
        const sorted = lists.map((list) => list.toSorted((a, b) => a - b));
        const merged = await Array.fromAsync(
          merge(
            sorted.map((list) => stream(list, () => undefined)),
            (a, b) => a - b,
          ),
        );
        expect(merged).toEqual(lists.flat().toSorted((a, b) => a - b));
      }),
    );
  });

  test("ends the streams when nobody wants more", async () => {
    let ended = 0;
    const streams = [[1, 4], [2], [3, 5]].map((list) => stream(list, () => (ended += 1)));
    for await (const number of merge(streams, (a, b) => a - b)) if (number === 2) break;
    expect(ended).toBe(3);
  });
});
