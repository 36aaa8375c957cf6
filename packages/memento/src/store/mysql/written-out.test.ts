import { describe, expect, test } from "vitest";

import { writtenOut } from "./written-out.ts";

describe("writtenOut()", () => {
  test("leaves a statement of short values as it is", () => {
    const bytes = Buffer.from("abc");
    expect(writtenOut("a = ? AND b = ?", ["x", bytes])).toEqual({ sql: "a = ? AND b = ?", values: ["x", bytes] });
  });

  test("writes lists as a power of two of values, the last one repeated", () => {
    const { sql, values } = writtenOut("a = ? AND b IN (?*) AND c = ?", [1, ["x", "y", "z"], 2]);
    expect(sql).toBe("a = ? AND b IN (?, ?, ?, ?) AND c = ?");
    expect(values).toEqual([1, "x", "y", "z", "z", 2]);
  });

  test("writes places as pairs", () => {
    const places = [
      ["t", 1],
      ["u", 2],
    ] as const;
    expect(writtenOut("p IN (?*)", [places])).toEqual({ sql: "p IN ((?, ?), (?, ?))", values: ["t", 1, "u", 2] });
  });

  test("sends long bytes and texts in pieces that the server joins", () => {
    const long = Buffer.alloc(150_000, 7);
    const { sql, values } = writtenOut("?, ?, ?", [long, "é".repeat(50_000), 5]);
    expect(sql).toBe("CONCAT(?, ?, ?, ?), CONVERT(CONCAT(?, ?) USING utf8mb4), ?");
    expect(Buffer.concat(values.slice(0, 4) as Buffer[])).toEqual(long);
    expect(Buffer.concat(values.slice(4, 6) as Buffer[]).toString("utf8")).toBe("é".repeat(50_000));
    for (const value of values) expect(Buffer.isBuffer(value) ? value.length : 0).toBeLessThan(65_535);
  });
});
