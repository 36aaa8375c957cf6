import { describe, expect, test } from "vitest";

import { toJsonText } from "./json-text.ts";
import { printable } from "./terminal/printable.ts";

describe("toJsonText()", () => {
  test("is one document with a line end", () => {
    expect(toJsonText({ a: 1 })).toBe('{\n  "a": 1\n}\n');
    expect(toJsonText(undefined)).toBe("null\n");
  });

  test("escapes control characters that JSON has no need to, so that no terminal obeys them and nobody escapes them otherwise", () => {
    const value = { "\u009bkey": "next\u0085line\u007f \u202eturned\u2066\u2028" };
    const text = toJsonText(value);
    expect(text).toMatch(/^[\n\u0020-\u007e]*$/u);
    expect(printable(text)).toBe(text);
    expect(JSON.parse(text)).toEqual(value);
  });

  test.each([
    ["a big integer", 12345678901234567890n, "12345678901234567890"],
    ["not a number", Number.NaN, "NaN"],
    ["infinity", Number.NEGATIVE_INFINITY, "-Infinity"],
    ["a date", new Date("2013-01-02T03:04:05.006Z"), "2013-01-02T03:04:05.006Z"],
    ["a date that is none", new Date(Number.NaN), "Invalid Date"],
    ["bytes", Uint8Array.of(1, 2, 255), "AQL/"],
    ["a set", new Set([1, 2n]), [1, "2"]],
    ["a map", new Map([["a", new Date(0)]]), [["a", "1970-01-01T00:00:00.000Z"]]],
    ["undefined in an array", [undefined, 1], [null, 1]],
  ])("writes %s readably", (_what, value, written) => {
    expect(JSON.parse(toJsonText({ deep: [{ value }] }))).toEqual({ deep: [{ value: written }] });
  });
});
