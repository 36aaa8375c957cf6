import { describe, expect, test } from "vitest";

import { jsonText } from "./json-text.ts";

const textOf = (value: unknown): string =>
  jsonText(value, (text) => {
    throw new Error(text);
  });

describe("jsonText()", () => {
  test.each<[string, unknown]>([
    ["plain values", { a: [1, "x", null, true, { b: {} }], c: "\u{1F600}" }],
    ["an object without a prototype", Object.assign(Object.create(null) as object, { a: 1 })],
    ["a date", { at: new Date(0) }],
    ["what has words of its own", { at: new URL("http://x/"), own: { toJSON: () => ({ a: 1 }) } }],
    [
      "an instance with properties",
      new (class Order {
        readonly id = 1;
      })(),
    ],
    ["what is undefined", { a: undefined, b: [undefined] }],
  ])("writes %s as JSON does", (_name, value) => expect(textOf(value)).toBe(JSON.stringify(value)));

  test("writes whole numbers of any size in their digits", () => {
    expect(textOf({ id: 2n ** 64n, list: [-9_007_199_254_740_993n] })).toBe(
      '{"id":18446744073709551616,"list":[-9007199254740993]}',
    );
  });

  const itself: Record<string, unknown> = {};
  itself["itself"] = itself;

  test.each<[string, unknown, string]>([
    ["NaN", { a: [Number.NaN] }, "holds NaN"],
    ["an infinity", [-Infinity], "holds -Infinity"],
    ["a map", { a: new Map([[1, 2]]) }, "holds a Map"],
    ["a set", [new Set([1])], "holds a Set"],
    ["bytes", { a: Uint8Array.of(0, 1) }, "holds a Uint8Array"],
    ["a buffer, whatever it says of itself", { a: Buffer.of(1) }, "holds a Buffer"],
    ["an error", { a: new Error("x") }, "holds a Error"],
    ["a regular expression", /x/u, "holds a RegExp"],
    ["a function", { a: { b: () => 1 } }, "holds a function"],
    ["a symbol in a list", [Symbol("x")], "holds a symbol"],
    ["an invalid date", { at: new Date(Number.NaN) }, "holds an invalid date"],
    ["NaN that hides behind its own words", { toJSON: () => Number.NaN }, "holds NaN"],
    ["what holds itself", itself, "cannot be written as JSON"],
    ["nothing", undefined, "is nothing that JSON knows"],
  ])("refuses %s", (_name, value, message) => expect(() => textOf(value)).toThrow(message));
});
