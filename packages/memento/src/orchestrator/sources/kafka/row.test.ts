import { describe, expect, test } from "vitest";

import { rowOf } from "./row.ts";

const record = (value: string) => ({
  partition: 1,
  offset: 7,
  timestampMs: 0,
  key: null,
  value: Buffer.from(value),
  headers: {},
});

describe("rowOf()", () => {
  test("keeps the digits of whole numbers in JSON values", () => {
    const { value } = rowOf("t", "json", record('{"id":9007199254740993,"n":1}'));
    expect(value).toEqual({ id: 9007199254740993n, n: 1 });
  });

  test("refuses a number that it cannot keep, by place and path, and gives the text of the value where it is asked for", () => {
    const message = "The value of t[1] at offset 7 holds a number that cannot be kept, at $.v";
    expect(() => rowOf("t", "json", record('{"v":1e400}'))).toThrow(
      expect.objectContaining({ code: "RECORD_INVALID", message }),
    );
    expect(rowOf("t", "text", record('{"v":1e400}')).value).toBe('{"v":1e400}');
  });
});
