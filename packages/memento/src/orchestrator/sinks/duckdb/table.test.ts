import { writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { by, gently, withSinks } from "../../../../../../test/workers/duckdb-sinks.ts";
import { systemClock } from "../../../core/ports.ts";
import { duckdbTable } from "./index.ts";

const context = { timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal };

describe("the table", () => {
  test("is made from its columns, with a column of numbers, or with its key as PRIMARY KEY", async () => {
    await withSinks(async ({ path, open, query }) => {
      const sink = await open({ mode: "append", columns: { a: "INTEGER", b: "DECIMAL(9,2)" } });
      await sink.write([{ a: 1 }, { b: "2.5" }], by("t"));
      expect(await query("SELECT * FROM t")).toEqual([
        [1, null, "1"],
        [null, "2.50", "2"],
      ]);
      await sink.close();
      const keyed = duckdbTable({
        path,
        settings: { threads: "1" },
        table: "k",
        schema: "stage",
        mode: "upsert",
        columns: { id: "VARCHAR", n: "INTEGER" },
        key: ["id"],
      });
      await keyed.open({ ...context, name: "keyed" });
      await keyed.close();
      expect(
        await query("SELECT constraint_type FROM duckdb_constraints() WHERE schema_name = 'stage' ORDER BY ALL"),
      ).toEqual([["NOT NULL"], ["PRIMARY KEY"]]);
    });
  });

  test.each([
    ["that is not there, without columns", {}, "CREATE TABLE other (n INT)", "no table main.t"],
    [
      "with its schema in its name",
      { table: "sales.t", columns: { n: "INT" } },
      "CREATE SCHEMA sales",
      "the name alone",
    ],
    ["that is a view", {}, "CREATE VIEW t AS SELECT 1 AS n", "is a view"],
    [
      "without the column that is written",
      { columns: { missing: "INT" } },
      "CREATE TABLE t (n INT, memento_row BIGINT)",
      "no column missing",
    ],
    ["without the key's column", { key: "missing" }, "CREATE TABLE t (n INT)", "no column missing"],
    ["whose key is not unique", { key: "n" }, "CREATE TABLE t (n INT)", "no primary key or unique index on n"],
    ["without a key to upsert by", { mode: "upsert" }, "CREATE TABLE t (n INT)", "no primary key"],
    ["without a column for numbers", {}, "CREATE TABLE t (n INT)", "a table without a key needs a column"],
    ["with numbers of another type", {}, "CREATE TABLE t (memento_row INT)", "rows are numbered in a BIGINT"],
  ] as const)("%s is refused, and no books are made", async (_, options, sql, message) => {
    await withSinks(async ({ open, exec, query }) => {
      await exec(sql);
      await expect(open({ mode: "append", ...options })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(message) as string,
      });
      expect(await query("SELECT 1 FROM duckdb_schemas() WHERE schema_name = 'memento_sink'")).toEqual([]);
    });
  });

  test.each([
    ["no path", { path: "" }],
    ["a database in memory", { path: ":memory:" }],
    ["its own books as the table", { schema: "memento_sink" }],
    ["no columns", { columns: {} }],
    ["an empty key", { key: [] }],
    ["a key that is no column", { columns: { a: "INT" }, key: "b" }],
    ["a column of the sink's own", { columns: { memento_row: "BIGINT" } }],
    ["a negative timeout", { busyTimeoutMs: -1 }],
    ["a negative time to hold", { holdMs: -1 }],
  ] as const)("options with %s are refused before anything is touched", (_, options) => {
    expect(() => duckdbTable({ path: "x.duckdb", table: "t", mode: "append", ...options })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test("may have generated columns, defaults and unique indexes", async () => {
    await withSinks(async ({ open, exec, query }) => {
      await exec(
        "CREATE TABLE t (id INT, twice INT GENERATED ALWAYS AS (id * 2), note VARCHAR DEFAULT 'none', rank INT UNIQUE); CREATE UNIQUE INDEX by_id ON t (id)",
      );
      const sink = await open({ mode: "upsert", key: "id", columns: { id: "INT", rank: "INT" } });
      const first = await sink.write(
        [
          { id: 1, rank: 1 },
          { id: 2, rank: 2 },
        ],
        by("t1"),
      );
      const early = await query("SELECT * FROM t ORDER BY id");
      expect(early).toEqual([
        [1, 2, "none", 1],
        [2, 4, "none", 2],
      ]);
      await exec("DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (2, 'theirs', 9)");
      await sink.write(
        [
          { id: 1, rank: 2 },
          { id: 2, rank: 1 },
        ],
        by("t2"),
      );
      expect(await query("SELECT id, note, rank FROM t ORDER BY id")).toEqual([
        [1, "none", 2],
        [2, "theirs", 1],
      ]);
      expect(await sink.revertTo(first.mark, by("r"), gently)).toMatchObject({ restored: 2, kept: [] });
      expect(await query("SELECT * FROM t ORDER BY id")).toEqual([early[0], [2, 4, "theirs", 9]]);
    });
  });

  test("whose constraint refuses a row is told which row, without its values", async () => {
    await withSinks(async ({ open, exec, query }) => {
      await exec("CREATE TABLE t (id VARCHAR PRIMARY KEY, n INT CHECK (n > 0))");
      const sink = await open({ mode: "append", key: "id" });
      await sink.write([{ id: "secret-7", n: 1 }], by("t1"));
      const rows = Array.from({ length: 100 }, (_, index) => ({ id: `r${index}`, n: 1 }));
      const taken = rows.with(63, { id: "secret-7", n: 1 });
      await expect(sink.write(taken, by("t2"))).rejects.toMatchObject({
        code: "RECORD_INVALID",
        message: "rows[63] was refused: a key that is there already violates primary key constraint.",
      });
      await expect(sink.write(rows.with(99, { id: "r5", n: 1 }), by("t2"))).rejects.toMatchObject({
        message: expect.stringContaining("rows[99] was refused") as string,
      });
      await expect(sink.write(rows.with(0, { id: "x", n: -5 }), by("t2"))).rejects.toMatchObject({
        message: "rows[0] was refused: CHECK constraint failed on table t with expression CHECK((n > 0))",
      });
      expect(await query("SELECT count(*) FROM t")).toEqual([["1"]]);
      expect((await sink.write(rows, by("t2"))).duplicate).toBe(false);
    });
  });

  test("without a key names the refused row too, and gives no number twice", async () => {
    await withSinks(async ({ open, exec, query }) => {
      await exec("CREATE TABLE t (n INTEGER CHECK (n > 0), u VARCHAR UNIQUE, memento_row BIGINT)");
      const sink = await open({ mode: "append" });
      const rows = Array.from({ length: 5_000 }, (_, index) => ({ n: 1, u: `u${index}` }));
      const bad = rows.with(4_321, { n: -1, u: "x" });
      await expect(sink.write(bad, by("t1"))).rejects.toMatchObject({
        code: "RECORD_INVALID",
        message: "rows[4321] was refused: CHECK constraint failed on table t with expression CHECK((n > 0))",
      });
      await expect(sink.write(rows.with(7, { n: 1, u: "u3" }), by("t1"))).rejects.toMatchObject({
        message: expect.stringContaining("rows[7] was refused") as string,
      });
      await sink.write(rows, by("t1"));
      await sink.revertTo(null, by("r"), gently);
      await sink.write([{ n: 1, u: "u0" }], by("t2"));
      expect(await query("SELECT memento_row > 5000 FROM t")).toEqual([[true]]);
    });
  });

  test("that gets a column makes no row a changed one; a lost one is NOT_REVERTIBLE only where it has to come back", async () => {
    await withSinks(async ({ open, exec, query }) => {
      await exec("CREATE TABLE t (id VARCHAR PRIMARY KEY, n INT)");
      const sink = await open({ mode: "upsert" });
      const first = await sink.write(
        [
          { id: "a", n: 1 },
          { id: "b", n: 1 },
        ],
        by("t1"),
      );
      await exec("ALTER TABLE t ADD COLUMN extra VARCHAR DEFAULT 'new'; ALTER TABLE t ALTER n TYPE BIGINT");
      const second = await sink.write(
        [
          { id: "a", n: 2, extra: "x" },
          { id: "c", n: 2, extra: "y" },
        ],
        by("t2"),
      );
      const late = await query("SELECT * FROM t ORDER BY id");
      expect(await sink.inspect(null)).toMatchObject({ remove: 3, foreignTotal: 0 });
      await sink.revertTo(first.mark, by("r1"), gently);
      expect(await query("SELECT id, n FROM t ORDER BY id")).toEqual([
        ["a", "1"],
        ["b", "1"],
      ]);
      await sink.revertTo(second.mark, by("r2"), gently);
      expect(await query("SELECT * FROM t ORDER BY id")).toEqual(late);
      await sink.revertTo(null, by("r3"), gently);
      await exec("ALTER TABLE t DROP COLUMN extra");
      await expect(sink.revertTo(second.mark, by("r4"), gently)).rejects.toMatchObject({
        code: "NOT_REVERTIBLE",
        message: "The table main.t no longer has extra, which rows to be put back have",
      });
      await sink.write([{ id: "d", n: 1 }], by("t3"));
    });
  });

  test("with a further unique index keeps what was written into a column that it got", async () => {
    await withSinks(async ({ open, exec, query }) => {
      await exec("CREATE TABLE t (id INT PRIMARY KEY, seat INT UNIQUE)");
      const sink = await open({ mode: "upsert", columns: { id: "INT", seat: "INT" } });
      const { mark } = await sink.write(
        [
          { id: 1, seat: 1 },
          { id: 2, seat: 2 },
        ],
        by("t1"),
      );
      await sink.write([{ id: 1, seat: 3 }], by("t2"));
      await sink.write([{ id: 2, seat: 1 }], by("t3"));
      await sink.close();
      await exec("ALTER TABLE t ADD COLUMN note VARCHAR; UPDATE t SET note = 'of ' || id");
      const again = await open({ mode: "upsert", columns: { id: "INT", seat: "INT" } });
      expect(await again.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 0, restored: 2, kept: [] });
      expect(await query("SELECT seat, note FROM t ORDER BY id")).toEqual([
        [1, "of 1"],
        [2, "of 2"],
      ]);
    });
  });

  test("that was dropped is named", async () => {
    await withSinks(async ({ open, exec }) => {
      await exec("CREATE TABLE t (id INT, memento_row BIGINT)");
      const sink = await open({ mode: "append" });
      await exec("DROP TABLE t");
      await expect(sink.write([{ id: 1 }], by("t"))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });
});

describe("the file", () => {
  test("is not made where nothing says what it should hold", async () => {
    await withSinks(async ({ folder, open }) => {
      await expect(open({ mode: "append" })).rejects.toMatchObject({ code: "IO_FAILED" });
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test("that is no database is DAMAGED; a folder that is not there IO_FAILED", async () => {
    await withSinks(async ({ folder, path, open }) => {
      writeFileSync(path, "id,delay\n".repeat(1_000));
      await expect(open({ mode: "append" })).rejects.toMatchObject({
        code: "DAMAGED",
        message: expect.stringContaining(path) as string,
      });
      const sink = duckdbTable({ path: join(folder, "no", "such"), table: "t", mode: "append", columns: { a: "INT" } });
      await expect(sink.open(context)).rejects.toMatchObject({ code: "IO_FAILED" });
      await expect(sink.mark()).rejects.toMatchObject({ code: "STORE_CLOSED" });
    });
  });

  test("with books of a later version is FORMAT_UNKNOWN", async () => {
    await withSinks(async ({ open, exec }) => {
      await (await open({ mode: "append", columns: { a: "INT" } })).close();
      await exec("UPDATE memento_sink.format SET version = 2");
      await expect(open({ mode: "append" })).rejects.toMatchObject({ code: "FORMAT_UNKNOWN" });
    });
  });

  test("with a hole in the journal is DAMAGED, and nothing is reverted by it", async () => {
    await withSinks(async ({ open, exec, query }) => {
      const sink = await open({ mode: "append", columns: { a: "INT" } });
      await sink.write([{ a: 1 }], by("t1"));
      await sink.write([{ a: 2 }], by("t2"));
      await exec("DELETE FROM memento_sink.entries WHERE position = 1");
      await expect(sink.inspect(null)).rejects.toMatchObject({ code: "DAMAGED" });
      await expect(sink.revertTo(null, by("r"), { force: true })).rejects.toMatchObject({ code: "DAMAGED" });
      expect(await query("SELECT a FROM t")).toEqual([[1], [2]]);
    });
  });

  test("of rows that another DuckDB has hashed is NOT_REVERTIBLE, names them all, and takes force", async () => {
    await withSinks(async ({ open, exec, query }) => {
      const sink = await open({ mode: "append", columns: { a: "INT" } });
      await sink.write([{ a: 1 }, { a: 2 }], by("t1"));
      const { mark } = await sink.write([{ a: 3 }], by("t2"));
      await exec(
        "UPDATE memento_sink.shapes SET hasher = 'of another version'; UPDATE memento_sink.rows_1 SET after = after + 1",
      );
      expect(await sink.inspect(null)).toMatchObject({ foreignTotal: 3, remove: 0 });
      await expect(sink.revertTo(null, by("r1"), gently)).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
      expect(await sink.revertTo(null, by("r1"), { force: true })).toMatchObject({ removed: 3, kept: [] });
      await sink.revertTo(mark, by("r2"), { force: true });
      expect(await query("SELECT a FROM t ORDER BY a")).toEqual([[1], [2], [3]]);
    });
  });

  test("does not grow with what was trimmed", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "upsert", columns: { id: "INTEGER", note: "VARCHAR" }, key: "id" });
      const marks = [];
      const count = async (): Promise<number> =>
        Number((await query("SELECT count(*) FROM memento_sink.rows_1"))[0]?.[0]);
      let ofTen = 0;
      for (let index = 0; index < 60; index++) {
        const rows = Array.from({ length: 50 }, (_, place) => ({ id: place, note: `${index}` }));
        marks.push((await sink.write(rows, by(`t${index}`))).mark);
        if (index === 9) ofTen = await count();
        if (index >= 10) await sink.trim(marks[index - 10] ?? null);
      }
      expect(await count()).toBe(ofTen);
      expect(await query("SELECT count(*) FROM memento_sink.entries")).toEqual([["10"]]);
    });
  });
});
