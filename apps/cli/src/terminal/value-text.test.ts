import { describe, expect, test } from "vitest";

import { shortValueText, valueText } from "./value-text.ts";

describe("valueText()", () => {
  test("breaks long values, and counts the lines that it leaves out", () => {
    const text = valueText(
      Array.from({ length: 10 }, (_, id) => ({ id, name: "a name of some length" })),
      { columns: 40, lines: 3 },
    );
    expect(text.split("\n")).toHaveLength(4);
    expect(text).toMatch(/… \d+ more lines$/u);
  });

  test("shows everything when there is no limit", () => {
    const value = { deep: { deeper: { deepest: { at: { last: { it: { is: ["here"] } } } } } } };
    expect(valueText(value, { columns: 40, lines: null })).toContain("'here'");
  });

  test("shows what JSON cannot", () => {
    expect(valueText(new Map([["a", 1n]]), { columns: 80, lines: 5 })).toBe("Map(1) { 'a' => 1n }");
  });
});

test("shortValueText() never gets longer than it may", () => {
  expect(shortValueText({ file: "x".repeat(100), row: 1 }, 20)).toHaveLength(20);
  expect(shortValueText(42, 20)).toBe("42");
});
