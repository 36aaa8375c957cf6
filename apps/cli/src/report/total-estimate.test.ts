import { describe, expect, test } from "vitest";

import { TotalEstimate } from "./total-estimate.ts";

describe("TotalEstimate", () => {
  test("tells the total from the share that is read", () => {
    const estimate = new TotalEstimate();
    expect(estimate.after(1_000, 0.001)).toBeNull();
    expect(estimate.after(301_000, 0.101)).toBe(3_000_000);
  });

  test("counts only its own records where a run takes up in the middle", () => {
    const estimate = new TotalEstimate();
    estimate.after(1_000, 0.5);
    expect(estimate.after(51_000, 0.75)).toBe(101_000);
  });

  test("says nothing where the source says nothing, or does not move", () => {
    const estimate = new TotalEstimate();
    expect(estimate.after(10, null)).toBeNull();
    expect(estimate.after(10, 0.5)).toBeNull();
    expect(estimate.after(20, 0.5)).toBeNull();
  });

  test("ends at what was read", () => {
    const estimate = new TotalEstimate();
    estimate.after(100, 0.1);
    expect(estimate.after(1_000, 1)).toBe(1_000);
  });
});
