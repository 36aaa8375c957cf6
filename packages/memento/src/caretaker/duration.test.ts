import { describe, expect, test } from "vitest";

import { checkSpan, momentBefore } from "./duration.ts";

const back = (from: string, span: string): string => new Date(momentBefore(Date.parse(from), span, "x")).toISOString();

describe("momentBefore()", () => {
  test.each([
    ["2026-03-31T12:00:00.000Z", "1mo", "2026-02-28T12:00:00.000Z"],
    ["2024-03-31T12:00:00.000Z", "1mo", "2024-02-29T12:00:00.000Z"],
    ["2024-02-29T00:00:00.000Z", "1y", "2023-02-28T00:00:00.000Z"],
    ["2026-01-15T00:00:00.000Z", "2mo", "2025-11-15T00:00:00.000Z"],
    ["2026-01-15T00:00:00.000Z", "1w2d3h4min5s", "2026-01-05T20:55:55.000Z"],
    ["2026-01-15T00:00:00.000Z", "1y6mo", "2024-07-15T00:00:00.000Z"],
  ])("%s less %s is %s", (from, span, wanted) => {
    expect(back(from, span)).toBe(wanted);
  });

  test("reaches back to before everything", () => {
    expect(momentBefore(0, "999999999y", "x")).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe("checkSpan()", () => {
  test.each(["", "30", "d", "5m", "-1d", "1.5h", "1d ", "1d6q"])("refuses %j with INVALID_ARGUMENT", (span) => {
    expect(() => checkSpan(span, "ttl")).toThrow(/^ttl takes a span of time/u);
  });
});
