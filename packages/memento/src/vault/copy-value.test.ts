import { isDeepStrictEqual } from "node:util";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { anyValue } from "../../../../test/harness/any-value.ts";
import { decodeValue, encodeValue } from "./codec.ts";
import { copyValue } from "./copy-value.ts";

describe("copyValue()", () => {
  test("gives any value as the codec gives it back, and shares no object with it", () => {
    fc.assert(
      fc.property(anyValue, (original) => {
        const copy = copyValue(original);
        expect(isDeepStrictEqual(copy, decodeValue(encodeValue(original)))).toBe(true);
        const own = objectsIn(original);
        for (const object of objectsIn(copy)) expect(own.has(object)).toBe(false);
      }),
    );
  });

  test("comes to an end where a record leads back to itself, and hands on what is no plain data", () => {
    const run = (): number => 1;
    const when = new URL("memento:");
    const parent: { children: unknown[]; run: unknown; when: unknown } = { children: [], run, when };
    parent.children.push({ parent }, { parent });
    const copy = copyValue(parent) as typeof parent;
    expect(copy).not.toBe(parent);
    expect(copy.children.map((child) => (child as { parent: unknown }).parent === copy)).toEqual([true, true]);
    expect(copy.run).toBe(run);
    expect(copy.when).toBe(when);
  });
});

function objectsIn(value: unknown, found = new Set<object>()): Set<object> {
  if (typeof value !== "object" || value === null) return found;
  found.add(value);
  if (ArrayBuffer.isView(value)) return found;
  const members = value instanceof Map ? [...value].flat() : value instanceof Set ? [...value] : Object.values(value);
  for (const member of members) objectsIn(member, found);
  return found;
}
