import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb, type MariadbServer } from "../../../../../../test/harness/servers/mariadb.ts";
import { by, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { mysqlTable } from "./table.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const started = isThere ? await startMariadb() : null;
const server = started as MariadbServer;
let tables = 0;
const gently = { force: false } as const;

describe.skipIf(!isThere)("the key of a row of mysqlTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  const place = (): { table: string; url: string } => ({
    table: `t${(tables += 1)}`,
    url: `mariadb://root@127.0.0.1:${server.port}/memento`,
  });

  test.each([
    ["a number in a column of text", "VARCHAR(20)", ["'05'", "'5.0'", "'5abc'"], 5, "5"],
    ["a decimal that is rounded", "DECIMAL(9, 2)", ["7"], "1.005", "1.01"],
    ["a decimal past what a double holds", "DECIMAL(30, 0)", ["12345678901234567891"], "12345678901234567890", null],
    ["a moment without its fraction", "DATETIME", ["'2020-01-01'"], new Date("2026-01-01T00:00:00.700Z"), null],
    ["the day of a moment", "DATE", ["'2020-01-01'"], new Date("2026-01-01T10:00:00.700Z"), "2026-01-01"],
    ["a time without its fraction", "TIME", ["'09:00:00'"], "10:00:00.6", "10:00:00"],
    ["a float", "FLOAT", ["0.25"], 0.1, "0.1"],
    ["a year of two digits", "YEAR", ["2020"], "26", "2026"],
    ["bits", "BIT(8)", ["1"], 53, "5"],
  ] as const)("is known as it is stored: %s", async (_, type, others, id, stored) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id ${type} PRIMARY KEY, v INT)`);
    for (const other of others) await server.query(`INSERT INTO ${table} VALUES (${other}, 1)`);
    const look = async (): Promise<unknown> =>
      await server.query(`SELECT CAST(id AS CHAR) AS id, v FROM ${table} ORDER BY v, id`);
    const before = await look();
    await withSink(mysqlTable({ table, url, mode: "append" }), async (sink) => {
      const { mark } = await sink.write([{ id, v: 2 }], by("t1"));
      const written = await look();
      expect(written).toHaveLength(others.length + 1);
      if (stored !== null) expect(written).toContainEqual({ id: stored, v: 2 });
      expect(await sink.inspect(null)).toMatchObject({ remove: 1, foreignTotal: 0 });
      expect(await sink.revertTo(null, by("r1"), gently)).toMatchObject({ removed: 1, kept: [] });
      expect(await look()).toEqual(before);
      expect(await sink.write([{ id, v: 2 }], by("t1"))).toMatchObject({ rows: 1, duplicate: false });
      await sink.revertTo(null, by("r2"), gently);
      await sink.revertTo(mark, by("r3"), gently);
      expect(await look()).toEqual(written);
    });
  });

  test.each(["append", "upsert"] as const)("that a trigger changes is refused in an %s", async (mode) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, v INT)`);
    await server.query(`CREATE TRIGGER ${table}_low BEFORE INSERT ON ${table} FOR EACH ROW SET NEW.id = LOWER(NEW.id)`);
    await withSink(mysqlTable({ table, url, mode, key: "id" }), async (sink) => {
      await expect(
        sink.write(
          [
            { id: "a", v: 1 },
            { id: "B", v: 1 },
          ],
          by("t1"),
        ),
      ).rejects.toMatchObject({ code: "RECORD_INVALID", details: { item: "rows[1]" } });
      expect(await server.query(`SELECT * FROM ${table}`)).toEqual([]);
      expect(await sink.write([{ id: "b", v: 1 }], by("t1"))).toMatchObject({ rows: 1 });
    });
  });

  test("that a trigger changes is no word for the row of somebody else", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, v INT)`);
    await server.query(`INSERT INTO ${table} VALUES (5, 1)`);
    await server.query(`CREATE TRIGGER ${table}_far BEFORE INSERT ON ${table} FOR EACH ROW SET NEW.id = NEW.id + 1000`);
    await withSink(mysqlTable({ table, url, mode: "append", key: "id" }), async (sink) => {
      await expect(sink.write([{ id: 5, v: 2 }], by("t1"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      await sink.revertTo(null, by("r1"), gently);
      expect(await server.query(`SELECT * FROM ${table}`)).toEqual([{ id: 5, v: 1 }]);
    });
  });

  test("is found beyond the whole numbers of a double, where the server draws it", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, v INT)`);
    await server.query(`INSERT INTO ${table} VALUES (9007199254740993, 1)`);
    await withSink(mysqlTable({ table, url, mode: "append" }), async (sink) => {
      await sink.write([{ v: 2 }, { v: 3 }, { v: 4 }], by("t1"));
      await server.query(`INSERT INTO ${table} (v) VALUES (5)`);
      expect(await sink.revertTo(null, by("r1"), gently)).toMatchObject({ removed: 3, kept: [] });
      expect(await server.query(`SELECT CAST(id AS CHAR) AS id, v FROM ${table} ORDER BY id`)).toEqual([
        { id: "9007199254740993", v: 1 },
        { id: "9007199254740997", v: 5 },
      ]);
    });
  });

  test("that a large batch has twice is that of one row", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, v INT)`);
    await withSink(mysqlTable({ table, url, mode: "upsert" }), async (sink) => {
      const { mark } = await sink.write([{ id: 1, v: 0 }], by("t1"));
      const rows = Array.from({ length: 9_000 }, (_, index) => ({ id: index % 8_800, v: index + 1 }));
      await sink.write(rows, by("t2"));
      await sink.write([{ id: 1, v: -1 }], by("t3"));
      expect(await sink.inspect(mark)).toMatchObject({ remove: 8_799, restore: 1, foreignTotal: 0 });
      await sink.revertTo(mark, by("r1"), gently);
      expect(await server.query(`SELECT id, v FROM ${table}`)).toEqual([{ id: 1, v: 0 }]);
    });
  });
});
