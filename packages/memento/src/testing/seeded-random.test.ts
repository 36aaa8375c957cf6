import { describe, expect, test } from "vitest";

import { SeededRandom } from "./seeded-random.ts";

describe("SeededRandom", () => {
  test("gives the same for the same seed, and other for others", () => {
    expect(new SeededRandom(1).bytes(16)).toEqual(new SeededRandom(1).bytes(16));
    const seeds = [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1].map((seed) =>
      Buffer.from(new SeededRandom(seed).bytes(16)).toString("hex"),
    );
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test("gives every byte and every number of a range about equally often", () => {
    const random = new SeededRandom(7);
    const counts = new Map<number, number>();
    for (const byte of random.bytes(256 * 200)) counts.set(byte, (counts.get(byte) ?? 0) + 1);
    expect(counts.size).toBe(256);
    for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(80);
    const numbers = Array.from({ length: 1_000 }, () => random.integer(5));
    expect(new Set(numbers)).toEqual(new Set([0, 1, 2, 3, 4]));
  });
});
