import { describe, expect, test } from "vitest";

import { parseState } from "./state-json.ts";

const parse = (text: string): unknown => parseState(Buffer.from(text), "it.json");

describe("parseState()", () => {
  test.each(['{"a":[1,null,"ü"]}', "9007199254740991", "-9007199254740991", "0.1", "1e300", "0", "0.0e5"])(
    "reads %s as it stands",
    (text) => {
      expect(parse(text)).toEqual(JSON.parse(text));
    },
  );

  test.each(["12345678901234567890", "-9007199254740993", "9007199254740993.0", "1e999", "-1e999", "1e-999"])(
    "refuses %s, and says how to keep it",
    (number) => {
      expect(() => parse(`{"a":[{"id":${number}}]}`)).toThrow(
        expect.objectContaining({
          code: "INVALID_ARGUMENT",
          message: expect.stringContaining(`The number ${number} in it.json`),
          hint: `Quote it as a string: "${number}".`,
        }),
      );
      expect(parse(`"${number}"`)).toBe(number);
    },
  );

  test("refuses bytes that are not UTF-8, and what is not JSON", () => {
    expect(() => parseState(Buffer.from([0x22, 0xff, 0x22]), "it.json")).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT", message: "it.json is not valid UTF-8" }),
    );
    expect(() => parse("{")).toThrow(expect.objectContaining({ message: "it.json is not JSON" }));
  });
});
