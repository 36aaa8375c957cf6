import { describe, expect, test } from "vitest";

import { by, gently, withSinks } from "../../../../../../test/workers/duckdb-sinks.ts";

/** What a column of this type gives back for a value, as DuckDB's own text. */
async function kept(type: string, value: unknown): Promise<unknown> {
  let found: unknown;
  await withSinks(async ({ open, query }) => {
    const sink = await open({ mode: "append", columns: { a: type } });
    await sink.write([{ a: value }], by("t"));
    found = (await query("SELECT a::VARCHAR FROM t"))[0]?.[0];
  });
  return found;
}

describe("values of columns", () => {
  test.each<[string, unknown, string]>([
    ["BIGINT", 2n ** 63n - 1n, "9223372036854775807"],
    ["BIGINT", "-17", "-17"],
    ["TINYINT", 127, "127"],
    ["UBIGINT", 2n ** 64n - 1n, "18446744073709551615"],
    ["HUGEINT", -(2n ** 127n), "-170141183460469231731687303715884105728"],
    ["INTEGER", true, "1"],
    ["DOUBLE", 0.1, "0.1"],
    ["DOUBLE", Number.NaN, "nan"],
    ["DOUBLE", -Infinity, "-inf"],
    ["DOUBLE", "1e-3", "0.001"],
    ["DOUBLE", "-0", "-0.0"],
    ["DOUBLE", "9007199254740994", "9007199254740994.0"],
    ["DOUBLE", "0.1234567890123456789", "0.12345678901234568"],
    ["FLOAT", 0.5, "0.5"],
    ["FLOAT", 0.1, "0.1"],
    ["FLOAT", Infinity, "inf"],
    ["FLOAT", 16777216n, "16777216.0"],
    ["DECIMAL(38,10)", "1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789"],
    ["DECIMAL(5,2)", 1.5, "1.50"],
    ["BOOLEAN", "true", "true"],
    ["VARCHAR", "ü😀 'x' \"y\"", "ü😀 'x' \"y\""],
    ["VARCHAR", 5, "5"],
    ["BLOB", new Uint8Array([0, 65, 255]), "\\x00A\\xFF"],
    ["DATE", new Date("2001-02-03T00:00:00Z"), "2001-02-03"],
    ["DATE", "1999-12-31", "1999-12-31"],
    ["TIMESTAMP", new Date("2001-02-03T04:05:06.789Z"), "2001-02-03 04:05:06.789"],
    ["TIMESTAMP", "2001-02-03 04:05:06.123456", "2001-02-03 04:05:06.123456"],
    ["TIMESTAMP", "2001-02-03T04:05:06.123456+02:00", "2001-02-03 02:05:06.123456"],
    ["TIMESTAMP", "2001-02-03T04:05:06Z", "2001-02-03 04:05:06"],
    ["TIMESTAMP", "-infinity", "-infinity"],
    ["TIMESTAMP_MS", "2001-02-03 04:05:06.123-05:30", "2001-02-03 09:35:06.123"],
    ["TIMESTAMP_S", "2001-02-03 04:05:06+0200", "2001-02-03 02:05:06"],
    ["TIMESTAMP_NS", "2001-02-03 04:05:06.123456789+02", "2001-02-03 02:05:06.123456789"],
    ["TIMESTAMPTZ", "2001-02-03 04:05:06+02", "2001-02-03 02:05:06+00"],
    ["TIMESTAMPTZ", new Date("2001-02-03T04:05:06.789Z"), "2001-02-03 04:05:06.789+00"],
    ["TIMESTAMP_NS", "2001-02-03 04:05:06.123456789", "2001-02-03 04:05:06.123456789"],
    ["TIME", "04:05:06.5", "04:05:06.5"],
    ["TIME", "04:05:06.123456000+00:00", "04:05:06.123456"],
    ["TIMETZ", "04:05:06.5-05:30", "04:05:06.5-05:30"],
    ["TIME_NS", "04:05:06.123456789", "04:05:06.123456789"],
    ["INTERVAL", "3 days", "3 days"],
    ["INTERVAL", "1.5 days 2.000001 seconds", "1 day 12:00:02.000001"],
    ["INTERVAL", "0.25 years 1.5 months", "4 months 15 days"],
    ["UUID", "6f1c3c1e-0000-4000-8000-00000000abcd", "6f1c3c1e-0000-4000-8000-00000000abcd"],
    ["ENUM('a', 'b')", "b", "b"],
    ["JSON", { a: [1, "x", null], n: 2n ** 60n }, '{"a":[1,"x",null],"n":1152921504606846976}'],
    ["JSON", '{"b": 1}', '{"b": 1}'],
    ["INTEGER[]", [1, null, 3], "[1, NULL, 3]"],
    ["STRUCT(a INTEGER, b VARCHAR[])", { a: 1, b: ["x"] }, "{'a': 1, 'b': [x]}"],
    ["MAP(VARCHAR, DOUBLE)", { k: 1.5 }, "{k=1.5}"],
  ])("%s keeps %s", async (type, value, text) => {
    expect(await kept(type, value)).toBe(text);
  });

  test.each<[string, unknown, string, string]>([
    ["BIGINT", 2n ** 63n, "RECORD_INVALID", "is out of its column's range"],
    ["INTEGER", 5.7, "RECORD_INVALID", "is no whole number"],
    ["INTEGER", "5.7", "RECORD_INVALID", "is no whole number"],
    ["INTEGER", new Date(), "UNSUPPORTED_VALUE", "is a Date, which its column does not take"],
    ["DOUBLE", 2n ** 60n + 1n, "RECORD_INVALID", "has more digits than its column keeps"],
    ["DOUBLE", "9007199254740993", "RECORD_INVALID", "has more digits than its column keeps"],
    ["DOUBLE", "1e999", "RECORD_INVALID", "is out of its column's range"],
    ["FLOAT", 2n ** 128n, "RECORD_INVALID", "is out of its column's range"],
    ["DOUBLE", "1e-999", "RECORD_INVALID", "is out of its column's range"],
    ["FLOAT", 1e300, "RECORD_INVALID", "is out of its column's range"],
    ["FLOAT", "1e39", "RECORD_INVALID", "is out of its column's range"],
    ["FLOAT", 1e-50, "RECORD_INVALID", "is out of its column's range"],
    ["FLOAT", 16777217n, "RECORD_INVALID", "has more digits than its column keeps"],
    ["DECIMAL(5,2)", "1.005", "RECORD_INVALID", "has more decimals than its column keeps"],
    ["VARCHAR", ["x"], "UNSUPPORTED_VALUE", "is an array, which its column does not take"],
    ["VARCHAR", "\ud800", "UNSUPPORTED_VALUE", "holds a lone surrogate, which DuckDB's text cannot hold"],
    ["BLOB", "text", "UNSUPPORTED_VALUE", "is a string, which its column does not take"],
    ["DATE", "2001-02-03 10:00", "RECORD_INVALID", "is no day, or has a time of day"],
    ["TIMESTAMP", "2001-02-03 04:05:06.1234567", "RECORD_INVALID", "has more digits of a second than its column keeps"],
    ["TIMESTAMP", "yesterday", "RECORD_INVALID", "is no TIMESTAMP"],
    ["TIMESTAMP", new Date("x"), "UNSUPPORTED_VALUE", "is an invalid date"],
    ["TIME", "04:05:06.1234567", "RECORD_INVALID", "has more digits of a second than its column keeps"],
    ["TIME", "04:05:06+02", "RECORD_INVALID", "has an offset from UTC, and its column has no zone"],
    ["TIMETZ", "04:05:06.123456789+01", "RECORD_INVALID", "has more digits of a second than its column keeps"],
    ["INTERVAL", "0.0000001 seconds", "RECORD_INVALID", "has parts that are smaller than its column keeps"],
    ["INTERVAL", "1 day 01:02:03.1234567", "RECORD_INVALID", "has parts that are smaller than its column keeps"],
    ["INTERVAL", "1.5 us", "RECORD_INVALID", "has parts that are smaller than its column keeps"],
    ["INTERVAL", "0.01 years", "RECORD_INVALID", "has parts that are smaller than its column keeps"],
    ["UUID", "no uuid", "RECORD_INVALID", "is no UUID"],
    ["ENUM('a', 'b')", "secret", "RECORD_INVALID", "is no ENUM('a', 'b')"],
    ["JSON", "{", "RECORD_INVALID", "is no JSON"],
    ["INTEGER[2]", [1, 2, 3], "RECORD_INVALID", "is no INTEGER[2]"],
    ["JSON", { a: () => 1 }, "UNSUPPORTED_VALUE", "holds what JSON cannot hold"],
  ])("%s refuses %s with %s, naming row and column, and never the value", async (type, value, code, problem) => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "append", columns: { a: type } });
      const batch = [{ a: null }, { a: value }];
      await expect(sink.write(batch, by("t"))).rejects.toMatchObject({
        code,
        message: `rows[1].a ${problem}`,
        details: { item: "rows[1].a" },
      });
      expect(await query("SELECT * FROM t")).toEqual([]);
      expect(await sink.mark()).toBeNull();
    });
  });

  test.each<[string, unknown]>([
    ["INTEGER[]", [1, "x"]],
    ["STRUCT(a INTEGER)", { a: 1, b: 2 }],
  ])("%s refuses %j, naming the row", async (type, value) => {
    await withSinks(async ({ open }) => {
      const sink = await open({ mode: "append", columns: { a: type } });
      await expect(sink.write([{ a: null }, { a: value }, { a: null }], by("t"))).rejects.toMatchObject({
        code: "RECORD_INVALID",
        message: "rows[1] was refused: a value cannot be held by its column",
      });
    });
  });

  test("of a column that is named like what every object has are NULL where a row lacks them", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "append", columns: { a: "INTEGER", constructor: "VARCHAR" } });
      await sink.write([{ a: 1 }, { a: 2, constructor: "x" }], by("t"));
      expect(await query("SELECT constructor FROM t ORDER BY a")).toEqual([[null], ["x"]]);
    });
  });

  test("of every type come back by a revert of a revert", async () => {
    await withSinks(async ({ open, query }) => {
      const columns = {
        id: "INTEGER",
        n: "UBIGINT",
        d: "DECIMAL(9,3)",
        z: "TIMESTAMPTZ",
        b: "BLOB",
        l: "VARCHAR[]",
        s: "STRUCT(x DOUBLE, y JSON)",
        e: "ENUM('u', 'v')",
        f: "DOUBLE",
      };
      const sink = await open({ mode: "upsert", columns, key: "id" });
      const first = {
        id: 1,
        n: 2n ** 63n,
        d: "-0.125",
        z: new Date(5),
        b: new Uint8Array([0]),
        l: ["a"],
        e: "u",
        f: -0,
      };
      await sink.write([{ ...first, s: { x: 1.5, y: { k: 1 } } }, { id: 2 }], by("t1"));
      const mark = await sink.mark();
      const early = await query("SELECT *, d::VARCHAR, z::VARCHAR FROM t ORDER BY id");
      await sink.write(
        [
          { id: 1, e: "v", l: [] },
          { id: 3, f: Number.NaN },
        ],
        by("t2"),
      );
      const late = await query("SELECT * FROM t ORDER BY id");
      const forth = await sink.mark();
      expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 1, kept: [] });
      expect(await query("SELECT *, d::VARCHAR, z::VARCHAR FROM t ORDER BY id")).toEqual(early);
      await sink.revertTo(forth, by("r2"), gently);
      expect(await query("SELECT * FROM t ORDER BY id")).toEqual(late);
    });
  });
});
