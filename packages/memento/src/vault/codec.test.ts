import { isDeepStrictEqual } from "node:util";

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { isMementoError } from "../core/errors.ts";
import { decodeValue, encodeValue, NESTING_LEVELS_MAX } from "./codec.ts";

const cases = Number(process.env["MEMENTO_CASES"] ?? 3_000);

/** Everything that a pipeline may hold, nested. */
const { value: anyValue } = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom(
      null,
      undefined,
      true,
      false,
      Number.NaN,
      -0,
      Infinity,
      -Infinity,
      "\ud800",
      "\udc00x",
      "$",
      "__proto__",
    ),
    fc.double(),
    fc.integer(),
    fc.bigInt(),
    fc.string({ unit: "binary" }),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array(),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  ),
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    tie("leaf"),
    fc.array(tie("value")),
    fc.array(fc.oneof(tie("leaf"), fc.constant("hole"))).map((items) => {
      const sparse: unknown[] = [];
      sparse.length = items.length;
      for (const [index, item] of items.entries()) if (item !== "hole") sparse[index] = item;
      return sparse;
    }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("$", "toString", "constructor")), tie("value")),
    fc.array(fc.tuple(tie("value"), tie("value"))).map((pairs) => new Map(pairs)),
    fc.array(tie("value")).map((items) => new Set(items)),
  ),
}));

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

  test("keeps the same object twice, as two copies", () => {
    const shared = { n: 1 };
    expect(decodeValue(encodeValue([shared, shared]))).toEqual([{ n: 1 }, { n: 1 }]);
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
