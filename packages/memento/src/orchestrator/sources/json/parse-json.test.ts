import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { jsonProblem, NOT_JSON, parseJson } from "./parse-json.ts";

/** Why a text was refused. */
function problemOf(text: string): string | null {
  try {
    parseJson(text);
    return null;
  } catch (error) {
    return jsonProblem(error);
  }
}

describe("parseJson()", () => {
  test.each<[string, unknown]>([
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["-9007199254740993", -9007199254740993n],
    ['{"a":[{"id":12345678901234567890},0,-0]}', { a: [{ id: 12345678901234567890n }, 0, -0] }],
    ['{"id":18446744073709551615,"__proto__":1}', { id: 18446744073709551615n, ["__proto__"]: 1 }],
    ["[1e25,9007199254740993.5,1.7976931348623157e308]", [1e25, 9007199254740994, Number.MAX_VALUE]],
    ["0.1234567890123456789", 0.12345678901234568],
    ["[0e-400,-0.0,5e-324]", [0, -0, 5e-324]],
    ['{"1e400":"1e400"}', { "1e400": "1e400" }],
    ['"9007199254740993"', "9007199254740993"],
  ])("reads %s as it stands", (text, value) => {
    expect(parseJson(text)).toEqual(value);
    expect(parseJson(` [${text}\n]`)).toEqual([value]);
  });

  test.each([
    ["1e400", "$"],
    ['{"a":{"b":[0,-1E+999]}}', "$.a.b[1]"],
    ['{"a b":1e-400}', '$["a b"]'],
    [`[1,0.${"0".repeat(330)}1]`, "$[1]"],
    [`{"n":${"9".repeat(400)}.5}`, "$.n"],
  ])("refuses %s by its path, and never shows the number", (text, path) => {
    expect(problemOf(text)).toBe(`holds a number that cannot be kept, at ${path}`);
  });

  test("says what is no JSON, and what is nested too deep", () => {
    expect(problemOf("{hunter2}")).toBe(NOT_JSON);
    expect(problemOf("[".repeat(200_000) + "]".repeat(200_000))).toBe("is nested too deep");
    expect(() => jsonProblem(new TypeError("x"))).toThrow(TypeError);
  });

  test("gives back every bigint and every float that JSON was made of", () => {
    const scalar = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.bigInt(), fc.string());
    fc.assert(
      fc.property(fc.array(fc.dictionary(fc.string(), scalar)), (rows) => {
        // A float is written as one, and a whole number in digits.
        const said = (value: number | bigint | string): string =>
          typeof value === "number"
            ? `${Object.is(value, -0) ? "-" : ""}${value.toExponential()}`
            : JSON.stringify(value);
        const text = rows.map((row) =>
          Object.entries(row).map(([name, value]) => [name, typeof value === "bigint" ? String(value) : said(value)]),
        );
        const json = text.map((row) => `{${row.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`);
        const whole = (value: unknown): unknown =>
          typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
        const expected = rows.map((row) =>
          Object.fromEntries(Object.entries(row).map(([name, value]) => [name, whole(value)])),
        );
        const read = parseJson(`[${json.join(",")}]`) as Record<string, unknown>[];
        expect(read.map((row) => Object.entries(row))).toEqual(expected.map((row) => Object.entries(row)));
      }),
    );
  });
});
