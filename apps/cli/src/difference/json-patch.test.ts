import { describe, expect, test } from "vitest";

import { jsonPatch } from "./json-patch.ts";

describe("jsonPatch()", () => {
  test("names what differs, member by member; arrays go as a whole", () => {
    const before = { state: { a: 1, b: [1], "c/d": { x: 1 }, gone: true }, same: null };
    const after = { state: { a: 2, b: [1, 2], "c/d": { x: 1, y: null } }, same: null };
    expect(jsonPatch(before, after)).toEqual([
      { op: "replace", path: "/state/a", value: 2 },
      { op: "replace", path: "/state/b", value: [1, 2] },
      { op: "add", path: "/state/c~1d/y", value: null },
      { op: "remove", path: "/state/gone" },
    ]);
    expect(jsonPatch(before, before)).toEqual([]);
  });
});
