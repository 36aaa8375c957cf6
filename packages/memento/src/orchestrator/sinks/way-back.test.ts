import { describe, expect, test } from "vitest";

import { type HistoryStep, wayBack, writesInForce } from "./way-back.ts";

/** A history in short: `w` writes, a number reverts to it, one in brackets leaves something in its way. */
function history(...steps: ("w" | number | [number])[]): HistoryStep[] {
  return steps.map((step, index) => ({
    position: index + 1,
    back: step === "w" ? null : Array.isArray(step) ? step[0] : step,
    complete: !Array.isArray(step),
  }));
}

function positions(steps: readonly HistoryStep[] | null): number[] | null {
  return steps?.map(({ position }) => position) ?? null;
}

describe("wayBack()", () => {
  test.each([
    ["only writes", history("w", "w", "w"), 0, [1, 2, 3]],
    ["a mark in between", history("w", "w", "w"), 2, [3]],
    ["nothing", history("w"), 1, []],
    ["an undone write is left out", history("w", "w", 1, "w"), 0, [1, 4]],
    ["the undoing counts for a mark that it undid", history("w", "w", 1, "w"), 2, [3, 4]],
    ["a revert to the mark itself", history("w", "w", 0), 0, []],
    ["a revert of a revert", history("w", "w", 0, 2), 0, [1, 2]],
    ["a revert that left something", history("w", "w", [1], "w"), 0, [1, 2, 3, 4]],
    ["a revert within one that is left out", history("w", "w", [1], "w", 1), 0, [1]],
  ])("%s", (_, steps, mark, way) => {
    expect(positions(wayBack(steps.slice(mark), mark, steps.length))).toEqual(way);
  });

  test("is null where a step is missing", () => {
    const steps = history("w", "w", "w");
    expect(wayBack(steps.slice(1), 0, 3)).toBeNull();
    expect(wayBack(steps.slice(0, 2), 0, 3)).toBeNull();
  });
});

describe("writesInForce()", () => {
  test.each([
    ["only writes", history("w", "w"), 0, [2, 1]],
    ["an undone write", history("w", "w", 1, "w"), 0, [4, 1]],
    ["all undone, though something was left", history("w", "w", [0]), 0, []],
    ["a revert of a revert", history("w", "w", 0, 2), 0, [2, 1]],
    ["a journal that was trimmed", history("w", "w", "w"), 2, [3]],
    ["a revert to before it", history("w", "w", "w", 1), 2, []],
  ])("%s", (_, steps, oldest, writes) => {
    expect(positions(writesInForce(steps.slice(oldest), oldest, steps.length))).toEqual(writes);
  });
});
