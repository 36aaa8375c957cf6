import { describe, expect, test } from "vitest";

import { bytesPerSecond, byteSize, collect, collectPairs, collectValues, wholeNumber } from "./option-values.ts";

describe("collectPairs()", () => {
  test("splits at the first equals sign, and keeps what was collected", () => {
    expect(collectPairs("b=1=2", { a: "" })).toEqual({ a: "", b: "1=2" });
  });

  test("keeps a key that every object has", () => {
    expect(Object.entries(collectPairs("__proto__=x"))).toEqual([["__proto__", "x"]]);
  });

  test.each([["novalue"], ["=x"], [""]])("refuses %j", (value) => {
    expect(() => collectPairs(value)).toThrow("NAME=VALUE");
  });

  test("refuses a key that is given twice", () => {
    expect(() => collectPairs("a=2", { a: "1" })).toThrow("a is given twice");
  });
});

describe("wholeNumber()", () => {
  test("reads 1 and more", () => {
    expect(wholeNumber("250")).toBe(250);
  });

  test.each([["0"], ["-1"], ["1.5"], ["ten"], [""], ["9999999999"]])("refuses %j", (value) => {
    expect(() => wholeNumber(value)).toThrow("whole number");
  });
});

test("collect() adds to what was there", () => {
  expect(collect("b", ["a"])).toEqual(["a", "b"]);
  expect(collect("a")).toEqual(["a"]);
});

describe("collectValues()", () => {
  test("takes JSON as what it is, and anything else as text", () => {
    const values = ["n=7", "t=7x", 'q="7"', "l=[1]", "empty=", "e=a=b"].reduce(
      (before: ReturnType<typeof collectValues>, value) => collectValues(value, before),
      {},
    );
    expect(values).toEqual({ n: 7, t: "7x", q: "7", l: [1], empty: "", e: "a=b" });
    expect(() => collectValues("n=8", values)).toThrow("n is given twice");
    expect(() => collectValues("n")).toThrow("NAME=VALUE");
  });

  test.each([["9007199254740993"], ["-9007199254740993"], ["1e999"], ["1e-999"]])(
    "refuses %s, which would be kept as another number, wherever it stands",
    (number) => {
      const refused = (hint: unknown): unknown =>
        expect.objectContaining({
          code: "INVALID_ARGUMENT",
          message: `The number ${number} in state.id cannot be kept exactly`,
          hint,
        });
      expect(() => collectValues(`state.id=${number}`)).toThrow(
        refused(`Quote it as a string, and that for the shell: 'state.id="${number}"'.`),
      );
      expect(() => collectValues(`state.id={"a":[${number}]}`)).toThrow(refused(`Quote it as a string: "${number}".`));
      expect(collectValues(`state.id="${number}"`)).toEqual({ "state.id": number });
    },
  );
});

describe("byteSize()", () => {
  test.each([
    ["1", 1],
    ["999999999", 999_999_999],
    ["1000000000", 1e9],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["500kB", 500_000],
    ["10 GB", 1e10],
    ["1.1GB", 1_100_000_000],
    ["1.5MiB", 1.5 * 2 ** 20],
    ["2TiB", 2 * 2 ** 40],
  ])("reads %s", (text, bytes) => {
    expect(byteSize(text)).toBe(bytes);
  });

  test.each([
    "0",
    "-1",
    "1.5",
    "0.1B",
    "9007199254740992",
    "9007199254740993",
    "9000000TB",
    "10XB",
    "10MB/s",
    "GB",
    "1e9",
  ])("refuses %s", (text) => {
    expect(() => byteSize(text)).toThrow(
      "It must be a size in bytes, up to 9007199254740991, such as 500MB, 10GB or 1.5GiB.",
    );
  });
});

test("bytesPerSecond() reads a size, by the second if wanted", () => {
  expect(bytesPerSecond("1.5MiB/s")).toBe(1.5 * 2 ** 20);
  expect(bytesPerSecond("10000000000")).toBe(1e10);
  for (const text of ["0", "fast", "10MB/min"]) expect(() => bytesPerSecond(text)).toThrow("a rate such as");
});
