import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { SequenceSet } from "./sequence-set.ts";

describe("SequenceSet", () => {
  test("has what was added, and nothing else, in as few ranges as there are", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 })), (numbers) => {
        const set = new SequenceSet();
        for (const number of numbers) set.add(number);
        const wanted = new Set(numbers);
        for (let number = 0; number <= 41; number++) expect(set.has(number)).toBe(wanted.has(number));
        expect(set.size).toBe(wanted.size);
        const starts = [...wanted].filter((number) => !wanted.has(number - 1));
        expect(set.ranges).toHaveLength(starts.length);
        expect(new SequenceSet(set.ranges).ranges).toEqual(set.ranges);
      }),
    );
  });
});
