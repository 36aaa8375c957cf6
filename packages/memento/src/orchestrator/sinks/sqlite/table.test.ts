import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve as resolvePath } from "node:path";
import process from "node:process";

import { describe, expect, test } from "vitest";

import { by, withSinks } from "../../../../../../test/workers/sqlite-sinks.ts";
import { systemClock } from "../../../core/ports.ts";
import { sqliteTable } from "./table-sink.ts";

const context = { timeline: "one", name: "out", clock: systemClock, signal: new AbortController().signal };

describe("open()", () => {
  test("makes the table from columns and key", async () => {
    await withSinks(async ({ open, query }) => {
      await open({ mode: "upsert", columns: { a: "TEXT", 'b"c': "INTEGER", select: "REAL" }, key: ["a", 'b"c'] });
      const info = query("SELECT name, type, \"notnull\", pk FROM pragma_table_info('t')");
      expect(info).toEqual([
        ["a", "TEXT", 1n, 1n],
        ['b"c', "INTEGER", 1n, 2n],
        ["select", "REAL", 0n, 0n],
      ]);
    });
  });

  test("uses a table that is there as it is, and writes only the given columns", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (n INT, made TEXT DEFAULT 'by default', twice AS (n * 2))");
      const some = await open({ mode: "append", columns: { n: "TEXT" } });
      await some.write([{ n: 1 }], by("t"));
      const all = await open({ mode: "append" }, { name: "all" });
      await all.write([{ n: 2, made: "here" }, { n: 3 }], by("t"));
      await expect(all.write([{ twice: 1 }], by("u"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      expect(query("SELECT n, made, twice FROM t")).toEqual([
        [1n, "by default", 2n],
        [2n, "here", 4n],
        [3n, null, 6n],
      ]);
    });
  });

  test("calls onOpen first, and waits for it", async () => {
    await withSinks(async ({ open, query }) => {
      const onOpen = async (database: { exec(sql: string): void }): Promise<void> => {
        await Promise.resolve();
        database.exec("CREATE TABLE t (n INT)");
      };
      const sink = await open({ mode: "append", onOpen });
      await sink.write([{ n: 1 }], by("t"));
      expect(query("SELECT n FROM t")).toEqual([[1n]]);
    });
  });

  test("a lock that is taken meanwhile is waited for in onOpen too", async () => {
    await withSinks(async ({ path, open, query }) => {
      const script = `
        const database = new (require("node:sqlite").DatabaseSync)(${JSON.stringify(path)});
        database.exec("BEGIN IMMEDIATE");
        console.log("HOLDING");
        setTimeout(() => database.exec("COMMIT"), 300);`;
      const sink = await open({
        mode: "append",
        busyTimeoutMs: 30_000,
        onOpen: async (database) => {
          const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
          await once(holder.stdout, "data");
          database.exec("CREATE TABLE t (n INT)");
        },
      });
      await sink.write([{ n: 1 }], by("t"));
      expect(query("SELECT n FROM t")).toEqual([[1n]]);
    });
  });

  test("leaves the file durable: WAL and synchronous FULL", async () => {
    await withSinks(async ({ open, query }) => {
      const levels: unknown[] = [];
      await open({
        mode: "append",
        columns: { n: "INTEGER" },
        onOpen: (database) => void levels.push(database.prepare("PRAGMA synchronous").get()),
      });
      expect(levels).toEqual([{ synchronous: 2 }]);
      expect(query("PRAGMA journal_mode")).toEqual([["wal"]]);
    });
  });

  test.each([
    ["a table that is not there, without columns", {}, "CREATE TABLE other (n)", "no table t"],
    ["a view", {}, "CREATE VIEW t AS SELECT 1 AS n", "is a view"],
    ["a column that is not there", { columns: { missing: "TEXT" } }, "CREATE TABLE t (n)", "no column missing"],
    ["a key that is not there", { key: "missing" }, "CREATE TABLE t (n)", "no column missing"],
    ["a key that is not unique", { key: "n" }, "CREATE TABLE t (n)", "no primary key or unique index on n"],
    [
      "a key that is unique in part",
      { key: "n" },
      "CREATE TABLE t (n); CREATE UNIQUE INDEX i ON t (n) WHERE n > 1",
      "unique index",
    ],
    ["an upsert without a key", { mode: "upsert" }, "CREATE TABLE t (n)", "no primary key"],
    ["no way to its rowid", {}, "CREATE TABLE t (rowid, _rowid_, oid)", "hides its rowid"],
  ] as const)("refuses %s", async (_, options, sql, message) => {
    await withSinks(async ({ open, exec, query }) => {
      exec(sql);
      await expect(open({ mode: "append", ...options })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(message) as string,
      });
      expect(query("SELECT name FROM sqlite_schema WHERE name LIKE 'memento%'")).toEqual([]);
    });
  });

  test.each([
    ["no path", { path: "" }],
    ["a database in memory", { path: ":memory:" }],
    ["its own books as the table", { table: "memento_sink_tokens" }],
    ["no columns", { columns: {} }],
    ["a key that is no column", { columns: { a: "TEXT" }, key: "b" }],
    ["a negative timeout", { busyTimeoutMs: -1 }],
  ] as const)("refuses %s before it touches anything", (_, options) => {
    expect(() => sqliteTable({ path: "x.db", table: "t", mode: "append", ...options })).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test("refuses a sink that wrote elsewhere under this name, and nothing else", async () => {
    await withSinks(async ({ open, exec }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT UNIQUE)");
      const sink = await open({ mode: "append" });
      await sink.write([{ id: "a", n: 1 }], by("t"));
      await expect(open({ mode: "upsert", key: "n" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      await open({ mode: "upsert", key: "n" }, { timeline: "two" });
      await open({ mode: "upsert", key: "n" }, { name: "other" });
    });
  });

  test("makes no file where there is none and nothing says what it should hold", async () => {
    await withSinks(async ({ folder, open }) => {
      await expect(open({ mode: "append" })).rejects.toMatchObject({ code: "IO_FAILED" });
      // Whole: where a job was started from decides which file a relative path means.
      await expect(sqliteTable({ path: "gone.db", table: "t", mode: "append" }).open(context)).rejects.toThrow(
        `no database ${resolvePath("gone.db")}`,
      );
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test("says where it writes", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ mode: "append", columns: { n: "TEXT" } });
      expect(sink.describe()).toBe(`sqlite table t in ${path}`);
      expect(sink.kind).toBe("sqlite-table");
    });
  });
});

describe("errors of the engine", () => {
  test("a folder that is not there is IO_FAILED", async () => {
    await withSinks(async ({ folder }) => {
      const path = join(folder, "no", "such.db");
      const sink = sqliteTable({ path, table: "t", mode: "append", columns: { n: "TEXT" } });
      await expect(sink.open(context)).rejects.toMatchObject({
        code: "IO_FAILED",
        message: expect.stringContaining(path) as string,
      });
      await expect(sink.mark()).rejects.toMatchObject({ code: "STORE_CLOSED" });
    });
  });

  test("a file that is no database is DAMAGED", async () => {
    await withSinks(async ({ path, open }) => {
      writeFileSync(path, "id,delay\n".repeat(1000));
      await expect(open({ mode: "append" })).rejects.toMatchObject({
        code: "DAMAGED",
        message: expect.stringContaining(path) as string,
      });
    });
  });

  test("a database that may not be written is IO_FAILED", async () => {
    await withSinks(async ({ path, open, exec }) => {
      exec("CREATE TABLE t (n INT)");
      const limit = { exec: (_sql: string): void => undefined };
      const sink = await open({
        mode: "append",
        onOpen: (database) => {
          limit.exec = (sql) => database.exec(sql);
        },
      });
      limit.exec("PRAGMA query_only = ON");
      await expect(sink.write([{ n: 1 }], by("t"))).rejects.toMatchObject({
        code: "IO_FAILED",
        message: expect.stringContaining(`${path} may not be`) as string,
      });
    });
  });

  test("a full database is DISK_FULL, leaves nothing half done, and is no end", async () => {
    await withSinks(async ({ open, query }) => {
      const limit = { exec: (_sql: string): void => undefined };
      const sink = await open({
        mode: "append",
        columns: { a: "TEXT" },
        onOpen: (database) => {
          limit.exec = (sql) => database.exec(sql);
        },
      });
      const { mark } = await sink.write([{ a: "first" }], by("t1"));
      limit.exec("PRAGMA max_page_count = 40");
      const rows = Array.from({ length: 2_000 }, () => ({ a: "x".repeat(200) }));
      await expect(sink.write(rows, by("t2"))).rejects.toMatchObject({ code: "DISK_FULL", retryable: true });
      expect(query("SELECT a FROM t")).toEqual([["first"]]);
      expect(await sink.mark()).toEqual(mark);
      limit.exec("PRAGMA max_page_count = 100000");
      expect((await sink.write(rows, by("t2"))).rows).toBe(2_000);
    });
  });

  test("a lock that stays taken is LOCKED after the timeout, and reading goes on", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ mode: "append", columns: { a: "TEXT" } });
      const { mark } = await sink.write([{ a: "x" }], by("t1"));
      const sqlite = process.getBuiltinModule("node:sqlite");
      using other = new sqlite.DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      await expect(sink.write([{ a: "y" }], by("t2"))).rejects.toMatchObject({
        code: "LOCKED",
        retryable: true,
        message: expect.stringContaining(path) as string,
      });
      expect(await sink.mark()).toEqual(mark);
      expect((await sink.inspect(null)).remove).toBe(1);
      other.exec("ROLLBACK");
      expect((await sink.write([{ a: "y" }], by("t2"))).duplicate).toBe(false);
    });
  });

  test("a lock that is given back within the timeout is waited for", async () => {
    await withSinks(async ({ path, open }) => {
      const sink = await open({ mode: "append", columns: { a: "TEXT" }, busyTimeoutMs: 20_000 });
      const sqlite = process.getBuiltinModule("node:sqlite");
      using other = new sqlite.DatabaseSync(path);
      other.exec("BEGIN IMMEDIATE");
      const write = sink.write([{ a: "y" }], by("t"));
      await new Promise((resolve) => void setTimeout(resolve, 30));
      other.exec("ROLLBACK");
      expect((await write).rows).toBe(1);
    });
  });

  test("books of a later version are FORMAT_UNKNOWN", async () => {
    await withSinks(async ({ open, exec }) => {
      await (await open({ mode: "append", columns: { a: "TEXT" } })).close();
      exec("UPDATE memento_sink_format SET version = 2");
      await expect(open({ mode: "append" })).rejects.toMatchObject({ code: "FORMAT_UNKNOWN" });
    });
  });

  test("a journal with a hole in it is DAMAGED, and nothing is reverted by it", async () => {
    await withSinks(async ({ open, exec, query }) => {
      const sink = await open({ mode: "append", columns: { a: "TEXT" } });
      await sink.write([{ a: "x" }], by("t1"));
      await sink.write([{ a: "y" }], by("t2"));
      exec("DELETE FROM memento_sink_entries WHERE position = 1");
      await expect(sink.inspect(null)).rejects.toMatchObject({ code: "DAMAGED" });
      await expect(sink.revertTo(null, by("r"), { force: true })).rejects.toMatchObject({ code: "DAMAGED" });
      expect(query("SELECT a FROM t")).toEqual([["x"], ["y"]]);
    });
  });
});
