import { describe, expect, test } from "vitest";

import { displayWidth, linesOn, pad, shorten } from "./width.ts";

test.each([
  ["", 10, 1],
  ["a\n\nb\n", 10, 4],
  ["0123456789", 10, 1],
  ["0123456789a", 10, 2],
  ["日本語日本語\nb", 10, 3],
  ["\u001b[31m0123456789\u001b[39m", 10, 1],
])("%j takes, on a terminal of %i columns, %i lines", (text, columns, lines) => {
  expect(linesOn(text, columns)).toBe(lines);
});

describe("displayWidth()", () => {
  test.each([
    ["", 0],
    ["abc", 3],
    ["grün", 4],
    ["e\u0301", 1],
    ["日本語", 6],
    ["한글", 4],
    ["🎉", 2],
    ["👩‍👩‍👧", 2],
    ["a\u200bb", 2],
    ["├─╮", 3],
    ["\u001b[31mred\u001b[39m", 3],
  ])("%j takes %i columns", (text, width) => {
    expect(displayWidth(text)).toBe(width);
  });
});

describe("pad()", () => {
  test("fills up to the width that is seen", () => {
    expect(pad("日本", 6)).toBe("日本  ");
    expect(pad("7", 3, "start")).toBe("  7");
    expect(pad("\u001b[31mab\u001b[39m", 3)).toBe("\u001b[31mab\u001b[39m ");
  });

  test("never cuts", () => {
    expect(pad("abcdef", 3)).toBe("abcdef");
  });
});

describe("shorten()", () => {
  test("leaves what fits", () => {
    expect(shorten("abc", 3)).toBe("abc");
  });

  test("cuts between characters, never past the width", () => {
    expect(shorten("abcdef", 4)).toBe("abc…");
    expect(shorten("日本語日本語", 6)).toBe("日本…");
    expect(displayWidth(shorten("👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", 5))).toBeLessThanOrEqual(5);
  });
});
