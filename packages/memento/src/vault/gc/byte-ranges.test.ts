import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { parseDelta } from "../delta/delta-runs.ts";
import { applyDelta, encodeDelta } from "../delta/index.ts";
import { clearOutside, joinRanges, rangesBehind } from "./byte-ranges.ts";

describe("joinRanges()", () => {
  test("orders, joins and drops empty ones", () => {
    expect(
      joinRanges([
        [5, 9],
        [1, 2],
        [3, 3],
        [2, 3],
        [8, 12],
        [20, 21],
      ]),
    ).toEqual([
      [1, 3],
      [5, 12],
      [20, 21],
    ]);
  });
});

describe("rangesBehind()", () => {
  test("what is cleared outside of them changes nothing of what is wanted, and something else when it matters", () => {
    const text = fc.array(fc.constantFrom("alpha and beta ", "gamma, delta; ", "x", "0123456789 ".repeat(8)), {
      minLength: 20,
      maxLength: 80,
    });
    fc.assert(
      fc.property(text, text, fc.array(fc.tuple(fc.nat(3_000), fc.nat(400)), { maxLength: 5 }), (a, b, picks) => {
        const [base, next] = [
          Buffer.from(a.join("")),
          Buffer.from([...a.slice(5), ...b.slice(0, 9), ...a.slice(0, 20)].join("")),
        ];
        const delta = encodeDelta(base, next);
        if (delta === null) return;
        const wanted = joinRanges(
          picks.map(([start, length]) => [Math.min(start, next.length), Math.min(start + length, next.length)]),
        );
        const runs = parseDelta(delta);
        const behind = rangesBehind(runs, wanted);
        const [maskedBase, maskedDelta] = [Uint8Array.from(base), Uint8Array.from(delta)];
        clearOutside(maskedBase, 0, behind.base);
        clearOutside(maskedDelta, delta.length - runs.literals.length, behind.literals);
        const found = Buffer.from(applyDelta(maskedBase, maskedDelta, next.length));
        for (const [start, end] of wanted) expect(found.subarray(start, end)).toEqual(next.subarray(start, end));
        const bytesBehind = [...behind.base, ...behind.literals].reduce((sum, [start, end]) => sum + end - start, 0);
        expect(bytesBehind).toBeLessThanOrEqual(wanted.reduce((sum, [start, end]) => sum + end - start, 0));
      }),
      { numRuns: 500 },
    );
  });
});
