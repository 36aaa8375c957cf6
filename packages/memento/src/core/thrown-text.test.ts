import { describe, expect, test } from "vitest";

import { thrownText } from "./thrown-text.ts";

describe("thrownText()", () => {
  test.each([
    ["the disk hums", new Error("the disk hums")],
    ["a text", "a text"],
    ["quota exceeded", { message: "quota exceeded", code: 429 }],
    ["{ status: 429, reason: 'quota' }", { status: 429, reason: "quota" }],
    ["{ message: '' }", { message: "" }],
    ["[Object: null prototype] {}", Object.create(null)],
    ["undefined", undefined],
    ["Symbol(stop)", Symbol("stop")],
    ["7n", 7n],
  ])("says %s", (text, thrown) => {
    expect(thrownText(thrown)).toBe(text);
  });

  test("has long texts whole", () => {
    const word = "word".repeat(9_000);
    expect(thrownText({ word })).toBe(`{ word: '${word}' }`);
  });
});
