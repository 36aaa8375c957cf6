import { isDeepStrictEqual } from "node:util";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { anyValue } from "../../../../test/harness/any-value.ts";
import { isMementoError } from "../core/errors.ts";
import { decodeValue, encodeSnapshot, encodeValue, snapshotValue } from "./codec.ts";
import { NESTING_LEVELS_MAX } from "./escape-value.ts";

const cases = Number(process.env["MEMENTO_CASES"] ?? 3_000);

describe("encodeValue()", () => {
  test("gives back any value as it was", () => {
    fc.assert(
      fc.property(anyValue, (original) => {
        const decoded = decodeValue(encodeValue(original));
        // A dictionary of fast-check may have a null prototype; the prototype is not data.
        expect(isDeepStrictEqual(plain(decoded), plain(original))).toBe(true);
      }),
      { numRuns: cases },
    );
  });

  test("is deterministic and never changes its argument", () => {
    fc.assert(
      fc.property(anyValue, (original) => {
        const first = encodeValue(original);
        const second = encodeValue(original);
        expect(Buffer.from(second.bytes)).toEqual(Buffer.from(first.bytes));
        expect(second.encoding).toBe(first.encoding);
      }),
      { numRuns: cases / 3 },
    );
  });

  test.each([
    ["a function", { a: { b: [() => 1] } }, "value.a.b[0]"],
    ["a symbol", { s: Symbol("x") }, "value.s"],
    [
      "a class instance",
      {
        list: [
          new (class Foo {
            readonly n = 1;
          })(),
        ],
      },
      "value.list[0]",
    ],
    ["a promise", { p: Promise.resolve() }, "value.p"],
    ["an error", new Map([["k", new Error("x")]]), "value.get(k)"],
    ["a typed array that is not bytes", { t: new Float64Array(2) }, "value.t"],
  ])("refuses %s by path", (_what, bad, path) => {
    expect(() => encodeValue(bad)).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED_VALUE", message: expect.stringContaining(path) }),
    );
  });

  test("refuses a cycle, and nesting past the limit", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = [cycle];
    expect(() => encodeValue(cycle)).toThrow(expect.objectContaining({ code: "UNSUPPORTED_VALUE" }));
    let deep: unknown = 1;
    for (let level = 0; level <= NESTING_LEVELS_MAX; level++) deep = [deep];
    expect(() => encodeValue(deep)).toThrow(expect.objectContaining({ code: "UNSUPPORTED_VALUE" }));
  });

  test.each([1, 10, 10_000])("refuses a symbol as a key, by path, in %i rows", (count) => {
    const rows: object[] = Array.from({ length: count }, (_, id) => ({ id, tags: ["a"], at: { x: 1 } }));
    for (const at of [{ [Symbol("x")]: 1 }, { at: { [Symbol("x")]: 1 } }, { tags: [{ [Symbol("x")]: 1 }] }]) {
      const bad = rows.with(count - 1, at);
      expect(() => encodeValue({ rows: bad })).toThrow(
        expect.objectContaining({
          code: "UNSUPPORTED_VALUE",
          message: expect.stringContaining(`value.rows[${count - 1}]`),
        }),
      );
    }
  });

  test("takes nothing from Object.prototype for a member", () => {
    const everyObject: object = Object.prototype;
    const pollution = { inherited: () => 1, $: ["date", 1], list: [() => 1] };
    const taken: unknown[] = [];
    for (const [key, value] of Object.entries(pollution)) {
      Object.defineProperty(everyObject, key, { value, enumerable: true, configurable: true, writable: true });
    }
    try {
      taken.push(decodeValue(encodeValue([{ own: 1, more: { n: -0 } }])));
      taken.push(Buffer.from(encodeValue([{ own: 1 }]).bytes).toString());
    } finally {
      for (const key of Object.keys(pollution)) Reflect.deleteProperty(everyObject, key);
    }
    expect(taken).toEqual([[{ own: 1, more: { n: -0 } }], '[{"own":1}]']);
  });

  test("keeps the same object twice, as two copies", () => {
    const shared = { n: 1 };
    expect(decodeValue(encodeValue([shared, shared]))).toEqual([{ n: 1 }, { n: 1 }]);
  });
});

describe("snapshotValue()", () => {
  test.each([
    ["JSON", { rows: [{ n: 1 }], at: { x: 1 } }],
    ["what needs tags", { rows: [{ n: 1n }], at: { x: new Date(0) } }],
    ["bytes", Uint8Array.from([1, 2, 3])],
  ])("keeps %s as it was, whatever happens to it later", (_what, value) => {
    const before = encodeValue(value);
    const snapshot = snapshotValue(value);
    if (value instanceof Uint8Array) value[0] = 9;
    else {
      value.rows.push({ n: 2 } as never);
      value.at.x = 9;
    }
    expect(encodeSnapshot(snapshot)).toMatchObject({ encoding: before.encoding, bytes: before.bytes });
    expect(Buffer.from(encodeValue(value).bytes)).not.toEqual(Buffer.from(before.bytes));
  });
});

describe("decodeValue()", () => {
  test("refuses bytes that are no value with DAMAGED, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          decodeValue({ encoding: "tagged", bytes });
        } catch (error) {
          expect(isMementoError(error)).toBe(true);
        }
      }),
    );
  });

  test("never builds anything by a name in the data", () => {
    const text = JSON.stringify({ $: ["Function", "return 1"] });
    expect(() => decodeValue({ encoding: "tagged", bytes: Buffer.from(text) })).toThrow(
      expect.objectContaining({ code: "DAMAGED" }),
    );
    const polluted = decodeValue({ encoding: "json", bytes: Buffer.from('{"__proto__":{"admin":true}}') }) as Record<
      string,
      unknown
    >;
    expect(polluted["admin"]).toBeUndefined();
    expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
  });
});

function plain(value: unknown): unknown {
  if (Array.isArray(value)) {
    const copy: unknown[] = [];
    copy.length = value.length;
    for (const index of value.keys()) if (index in value) copy[index] = plain(value[index]);
    return copy;
  }
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [plain(key), plain(item)]));
  if (value instanceof Set) return new Set([...value].map(plain));
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
