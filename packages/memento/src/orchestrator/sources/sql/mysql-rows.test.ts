import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../../test/harness/servers/mariadb.ts";
import { readAll } from "../../../../../../test/harness/source-reading.ts";
import type { Source } from "../source.ts";
import { sqlRows, type SqlRowsOptions } from "./sql-rows.ts";

describe.skipIf(!(await requireEngine("MariaDB", probeMariadb)))("sqlRows() on MariaDB", () => {
  let server: Awaited<ReturnType<typeof startMariadb>>;
  beforeAll(async () => {
    server = await startMariadb();
  });
  afterAll(async () => await server[Symbol.asyncDispose]());

  function opened(options: Omit<SqlRowsOptions, "url">): Source {
    const source = sqlRows({ url: server.url("x").replace(/\?.*/u, ""), ...options }) as Source;
    onTestFinished(async () => await source.close());
    return source;
  }

  test("gives a FLOAT with all that it holds, from tables, queries and chosen columns", async () => {
    await server.query("CREATE TABLE floats (id INT PRIMARY KEY, f FLOAT, short FLOAT(7,3), d DOUBLE)");
    await server.query(
      "INSERT INTO floats VALUES (1, 16777215, 1.5, 0.1), (2, 123456.789, 0.001, 1), (3, NULL, NULL, 2)",
    );
    const [a, b, c] = [16_777_215, Math.fround(123_456.789), null];
    const whole = (await readAll(opened({ table: "floats", key: "id" }), { batchRecords: 1 })).records;
    expect(whole).toEqual([
      { id: 1, f: a, short: 1.5, d: 0.1 },
      { id: 2, f: b, short: Math.fround(0.001), d: 1 },
      { id: 3, f: c, short: null, d: 2 },
    ]);
    const chosen = opened({ table: "floats", key: "id", columns: ["f"] });
    expect((await readAll(chosen)).records).toEqual([{ f: a }, { f: b }, { f: c }]);
    const asked = opened({ query: "SELECT id, f AS `a ``name` FROM floats", key: "id" });
    expect((await readAll(asked)).records).toEqual([a, b, c].map((f, index) => ({ id: index + 1, "a `name": f })));
  });

  test.each([
    "ENUM('b','a')",
    "SET('b','a')",
    "BIT(16)",
    "BINARY(2)",
    "VARBINARY(9)",
    "CHAR(2) CHARACTER SET binary",
    "FLOAT",
    "DOUBLE",
  ])("refuses to read in the order of %s, as key, watermark, or out of a query", async (type) => {
    const table = `typed_${type.replaceAll(/\W/gu, "_")}`;
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, k ${type} NOT NULL UNIQUE)`);
    for (const options of [
      { table, key: "k" },
      { table, key: "id", watermark: "k" },
      { query: `SELECT k, count(*) AS n FROM ${table} GROUP BY k`, key: "k" },
    ])
      expect((await readAll(opened(options))).error).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("column k") as string,
      });
  });

  test.each([
    ["VARCHAR(9) COLLATE utf8mb4_bin", ["a", "b", "é"]],
    ["VARCHAR(9) CHARACTER SET latin1", ["a", "z", "é"]],
    ["TEXT", ["a", "b", "c"]],
    ["UUID", ["00000000-0000-1000-8000-000000000002", "f0000000-0000-1000-8000-000000000001"]],
    ["INET6", ["::2", "::10", "a::"]],
    ["YEAR", [1999, 2026]],
    ["TIME(3)", ["-10:00:00.500", "09:00:00.000"]],
    ["BIGINT UNSIGNED", [1, 18_446_744_073_709_551_615n]],
  ] as [string, unknown[]][])("goes on behind every row in the order of %s", async (type, keys) => {
    const table = `ordered_${type.replaceAll(/\W/gu, "_")}`;
    await server.query(`CREATE TABLE ${table} (k ${type} NOT NULL)`);
    for (const key of keys)
      await server.query(`INSERT INTO ${table} VALUES (${typeof key === "string" ? `'${key}'` : String(key)})`);
    const source = opened({ table, key: "k" });
    const { batches, error } = await readAll(source, { batchRecords: 1 });
    expect(error).toBeNull();
    const found = batches.flatMap(({ records }) => records.map((record) => (record as { k: unknown }).k));
    expect(new Set(found)).toEqual(new Set(keys));
    for (const [index, { offset }] of batches.entries()) {
      const rest = await readAll(source, { from: JSON.parse(JSON.stringify(offset)) as typeof offset });
      expect(rest.records).toEqual(found.slice(index + 1).map((k) => ({ k })));
    }
  });
});
