import { describe, expect, test } from "vitest";

import { oneLine, printable } from "./printable.ts";

describe("printable()", () => {
  test("leaves text, line feeds and colours as they are", () => {
    const text = "plain ünïcödé 日本 🎉\n\u001b[31mred\u001b[39m";
    expect(printable(text)).toBe(text);
  });

  test.each([
    ["a move of the cursor", "\u001b[2J", "\\x1b[2J"],
    ["a window title", "\u001b]0;x\u0007", "\\x1b]0;x\\x07"],
    ["a carriage return", "a\rb", "a\\x0db"],
    ["a C1 control", "\u009b31m", "\\x9b31m"],
    ["text that runs the other way", "a\u202eb", "a\\u202eb"],
    ["a tab", "a\tb", "a  b"],
  ])("shows %s instead of obeying it", (_what, text, shown) => {
    expect(printable(text)).toBe(shown);
  });
});

test("oneLine() keeps text in its row", () => {
  expect(oneLine("a\nb")).toBe("a\\nb");
});
