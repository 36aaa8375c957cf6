import { describe, expect, test } from "vitest";

import { by, gently, withSinks } from "../../../../../../test/workers/sqlite-sinks.ts";

describe("a table whose columns change", () => {
  test("an added column makes no row a changed one, and images come back with and without it", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT)");
      const sink = await open({ mode: "upsert" });
      const first = await sink.write(
        [
          { id: "a", n: 1 },
          { id: "b", n: 1 },
        ],
        by("t1"),
      );
      exec("ALTER TABLE t ADD COLUMN extra TEXT NOT NULL DEFAULT 'new'");
      const second = await sink.write(
        [
          { id: "a", n: 2, extra: "x" },
          { id: "c", n: 2, extra: "y" },
        ],
        by("t2"),
      );
      const late = query("SELECT * FROM t ORDER BY id");
      expect(await sink.inspect(null)).toMatchObject({ remove: 3, foreignTotal: 0 });
      await sink.revertTo(first.mark, by("r1"), gently);
      expect(query("SELECT * FROM t ORDER BY id")).toEqual([
        ["a", 1n, "new"],
        ["b", 1n, "new"],
      ]);
      await sink.revertTo(null, by("r2"), gently);
      expect(query("SELECT * FROM t")).toEqual([]);
      await sink.revertTo(second.mark, by("r3"), gently);
      expect(query("SELECT * FROM t ORDER BY id")).toEqual(late);
    });
  });

  test("a lost column is NOT_REVERTIBLE only for rows that have to come back with it", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT, gone TEXT)");
      const sink = await open({ mode: "upsert" });
      const { mark } = await sink.write([{ id: "a", n: 1, gone: "x" }], by("t1"));
      await sink.revertTo(null, by("r1"), gently);
      exec("ALTER TABLE t DROP COLUMN gone");
      await expect(sink.revertTo(mark, by("r2"), gently)).rejects.toMatchObject({
        code: "NOT_REVERTIBLE",
        message: "The table t no longer has gone, which rows to be put back have",
      });
      await sink.write([{ id: "b", n: 1 }], by("t2"));
      await sink.revertTo(null, by("r3"), gently);
      expect(query("SELECT * FROM t")).toEqual([]);
    });
  });

  test("a table that was dropped is named", async () => {
    await withSinks(async ({ open, exec }) => {
      exec("CREATE TABLE t (id TEXT)");
      const sink = await open({ mode: "append" });
      exec("DROP TABLE t");
      await expect(sink.write([{ id: "a" }], by("t"))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    });
  });

  test("a refused batch right after a change of columns leaves the sink usable", async () => {
    await withSinks(async ({ open, exec }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT CHECK (n > 0))");
      const sink = await open({ mode: "upsert" });
      exec("ALTER TABLE t ADD COLUMN extra TEXT");
      await expect(sink.write([{ id: "a", n: -1 }], by("t"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      await sink.write([{ id: "a", n: 1, extra: "x" }], by("t"));
      expect(await sink.inspect(null)).toMatchObject({ remove: 1 });
    });
  });

  test.each([
    ["of all that come back", "id TEXT PRIMARY KEY, n INT, seat INT UNIQUE"],
    ["of rows with a rowid of their own", "id TEXT PRIMARY KEY, n INT, seat INT"],
    ["of rows without a rowid", "id TEXT PRIMARY KEY, n INT, seat INT UNIQUE", "WITHOUT ROWID"],
    ["of rows that their rowid names", "id INTEGER PRIMARY KEY, n INT, seat INT UNIQUE"],
  ])("an added column is kept from then on: %s", async (_, columns, how = "") => {
    await withSinks(async ({ open, exec, query }) => {
      exec(`CREATE TABLE t (${columns}) ${how}`);
      const sink = await open({ mode: "upsert", columns: { id: "TEXT", n: "INTEGER", seat: "INTEGER" } });
      const rows = [1, 2, 3].map((id) => ({ id, n: 1, seat: id }));
      const { mark } = await sink.write(rows, by("t1"));
      await sink.write([{ id: 1, n: 2, seat: 4 }], by("t2"));
      await sink.write([{ id: 2, n: 2, seat: 1 }], by("t3"));
      await sink.write([{ id: 1, n: 2, seat: 2 }], by("t4"));
      await sink.write([{ id: 4, n: 2, seat: 4 }, ...rows.slice(2)], by("t5"));
      exec("ALTER TABLE t ADD COLUMN note TEXT DEFAULT 'none'; ALTER TABLE t ADD COLUMN more");
      exec("UPDATE t SET note = 'of ' || id, more = CAST(x'00' || id AS BLOB)");
      const late = query("SELECT * FROM t ORDER BY id");
      const { mark: now } = await sink.write([{ id: 5, n: 2, seat: 5 }], by("t6"));
      // Rows of the same content at another rowid.
      exec(`CREATE TEMP TABLE moved AS SELECT * FROM t WHERE id IN (1, 3);
        DELETE FROM t WHERE id IN (1, 3); INSERT INTO t SELECT * FROM moved ORDER BY id DESC`);
      expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 2, restored: 2, kept: [] });
      expect(query("SELECT n, seat, note, hex(more) FROM t ORDER BY id")).toEqual(
        [1n, 2n, 3n].map((id) => [1n, id, `of ${id}`, `003${id}`]),
      );
      await sink.revertTo(now, by("r2"), gently);
      expect(query("SELECT * FROM t WHERE id < 5 ORDER BY id")).toEqual(late);
    });
  });
});
