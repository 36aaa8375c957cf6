import { describe, expect, test } from "vitest";

import { ageText, agoText, bytesText, counted, durationText, listText } from "./words.ts";

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [52_800, "52.8 kB"],
  [999_949, "1.0 MB"],
  [123_456_789, "123 MB"],
  [81_500_000_000, "81.5 GB"],
])("bytesText(%i) is %s", (bytes, text) => {
  expect(bytesText(bytes)).toBe(text);
});

test.each([
  [0, "0 ms"],
  [999, "999 ms"],
  [3_240, "3.2 s"],
  [59_990, "1 min 0 s"],
  [999.7, "1.0 s"],
  [65_000, "1 min 5 s"],
  [3_599_900, "1 h 0 min"],
  [7_500_000, "2 h 5 min"],
])("durationText(%i) is %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

describe("ageText()", () => {
  const now = Date.parse("2026-03-10T12:00:00.000Z");

  test.each([
    ["2026-03-10T12:00:00.000Z", "now"],
    ["2026-03-10T12:00:09.000Z", "now"],
    ["2026-03-10T11:59:48.000Z", "12 s"],
    ["2026-03-10T11:57:00.000Z", "3 min"],
    ["2026-03-10T09:00:00.000Z", "3 h"],
    ["2026-03-06T12:00:00.000Z", "4 d"],
    ["2025-12-24T12:00:00.000Z", "2025-12-24"],
  ])("%s is %s", (iso, text) => {
    expect(ageText(iso, now)).toBe(text);
  });
});

test("agoText() is the same in a sentence", () => {
  const now = Date.parse("2026-03-10T12:00:00.000Z");
  const times = ["2026-03-10T12:00:00.000Z", "2026-03-10T11:57:00.000Z", "2025-12-24T12:00:00.000Z"];
  expect(times.map((time) => agoText(time, now))).toEqual(["just now", "3 min ago", "on 2025-12-24"]);
});

test("counted() knows one from many", () => {
  expect(counted(1, "memento")).toBe("1 memento");
  expect(counted(1_200, "memento")).toBe("1,200 mementos");
});

test("listText() joins as a sentence does", () => {
  expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map((items) => listText(items))).toEqual([
    "",
    "a",
    "a and b",
    "a, b and c",
  ]);
});
