import { describe, expect, test } from "vitest";

import { differences } from "./value-difference.ts";

describe("differences()", () => {
  test.each([
    [1, 1],
    [{ a: [1, { b: new Date(0) }] }, { a: [1, { b: new Date(0) }] }],
    [new Map([["a", 1n]]), new Map([["a", 1n]])],
    [Number.NaN, Number.NaN],
    [Uint8Array.of(1), Uint8Array.of(1)],
  ])("finds nothing in equal values", (before, after) => {
    expect(differences(before, after)).toEqual([]);
  });

  test("names each place by its path", () => {
    const before = { rows: 1, gone: true, deep: { list: [{ price: 1 }, { price: 2 }] }, "odd key": 1 };
    const after = { rows: 2, come: false, deep: { list: [{ price: 1 }, { price: 3 }] }, "odd key": 2 };
    expect(differences(before, after)).toEqual([
      { path: "rows", kind: "changed", before: 1, after: 2 },
      { path: "gone", kind: "removed", before: true },
      { path: "deep.list[1].price", kind: "changed", before: 2, after: 3 },
      { path: '["odd key"]', kind: "changed", before: 1, after: 2 },
      { path: "come", kind: "added", after: false },
    ]);
  });

  test("an insertion into an array is one difference, wherever it is", () => {
    expect(differences([1, 2, 3, 4], [1, 2, 9, 3, 4])).toEqual([{ path: "[2]", kind: "added", after: 9 }]);
    expect(differences([1, 2, 3], [2, 3])).toEqual([{ path: "[0]", kind: "removed", before: 1 }]);
    expect(differences([1, 1], [1, 1, 1])).toEqual([{ path: "[2]", kind: "added", after: 1 }]);
  });

  test("undefined in its place is not the same as nothing", () => {
    expect(differences({ a: undefined }, {})).toEqual([{ path: "a", kind: "removed", before: undefined }]);
  });

  test("compares maps by key", () => {
    expect(differences(new Map([["a", 1]]), new Map([["a", 2]]))).toEqual([
      { path: "<a>", kind: "changed", before: 1, after: 2 },
    ]);
  });

  test("another kind of value is a change of the whole", () => {
    expect(differences([1], { 0: 1 })).toEqual([{ path: "", kind: "changed", before: [1], after: { 0: 1 } }]);
    expect(differences(new Date(0), new Date(1))).toHaveLength(1);
    expect(differences(null, {})).toHaveLength(1);
  });
});
