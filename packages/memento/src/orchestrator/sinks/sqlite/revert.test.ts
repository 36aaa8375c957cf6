import { describe, expect, test } from "vitest";

import { by, gently, withSinks } from "../../../../../../test/workers/sqlite-sinks.ts";
import { SeededRandom } from "../../../testing/seeded-random.ts";
import { TOKEN_POSITIONS_KEPT } from "../position-mark.ts";

describe("going back and forth", () => {
  test("restores rows to the byte, with their rowids and types", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (a, b TEXT, c REAL, d BLOB)");
      const sink = await open({ mode: "append" });
      const blob = new Uint8Array([1, 0, 2]);
      const { mark } = await sink.write(
        [{ a: 5, b: "x\0y", c: 7, d: blob }, { a: 5.5, b: "5", c: null, d: "text" }, { a: 2n ** 62n }, { a: "5" }],
        by("t"),
      );
      exec("INSERT INTO t (rowid, a) VALUES (1000, 'somebody''s')");
      const look = (): unknown =>
        query("SELECT rowid, typeof(a), a, typeof(c), quote(c), hex(b), typeof(d), hex(d) FROM t ORDER BY rowid");
      const before = look();
      await sink.revertTo(null, by("r1"), gently);
      expect(query("SELECT rowid FROM t")).toEqual([[1000n]]);
      await sink.revertTo(mark, by("r2"), gently);
      expect(look()).toEqual(before);
    });
  });

  test("finds rows that were written out of order, far apart, and among others", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT); INSERT INTO t VALUES (5, 0), (2000, 0)");
      const sink = await open({ mode: "append" });
      const ids = [9, 4, 6, 2n ** 62n, -7, 1000, 1999, 2001, 3];
      const { mark } = await sink.write(
        ids.map((id) => ({ id, n: 1 })),
        by("t"),
      );
      const before = query("SELECT * FROM t");
      exec("UPDATE t SET n = 2 WHERE id = 4611686018427387904");
      const { foreign, remove } = await sink.inspect(null);
      expect({ foreign, remove }).toEqual({
        foreign: [{ item: "t[id=4611686018427387904]", change: "changed" }],
        remove: 8,
      });
      exec("UPDATE t SET n = 1 WHERE id > 10000");
      await sink.revertTo(null, by("r1"), gently);
      expect(query("SELECT * FROM t")).toEqual([
        [5n, 0n],
        [2000n, 0n],
      ]);
      await sink.revertTo(mark, by("r2"), gently);
      expect(query("SELECT * FROM t")).toEqual(before);
    });
  });

  test("takes a composite key with NOCASE and bytes for what the table takes it", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (k TEXT COLLATE NOCASE, b BLOB, n INT, PRIMARY KEY (b, k))");
      const sink = await open({ mode: "upsert", key: ["k", "b"] });
      const b = new Uint8Array([7, 255]);
      const first = await sink.write(
        [
          { k: "Key", b, n: 1 },
          { k: "5", b: "x", n: 1 },
        ],
        by("t1"),
      );
      const early = query("SELECT * FROM t");
      await sink.write(
        [
          { k: "KEY", b, n: 2 },
          { k: 5, b: "x", n: 2 },
          { k: "key", b, n: 3 },
          { k: "new", b, n: 4 },
          { k: "NEW", b, n: 5 },
        ],
        by("t2"),
      );
      expect(query("SELECT k, n FROM t ORDER BY n")).toEqual([
        ["5", 2n],
        ["Key", 3n],
        ["new", 5n],
      ]);
      expect(await sink.inspect(null)).toMatchObject({ remove: 3, restore: 0, foreignTotal: 0 });
      expect(await sink.revertTo(first.mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 2, kept: [] });
      expect(query("SELECT * FROM t")).toEqual(early);
      exec("UPDATE t SET n = 9 WHERE k = 'KEY'");
      const { foreign } = await sink.inspect(null);
      expect(foreign).toEqual([{ item: `t[k="Key", b=x'07ff']`, change: "changed" }]);
    });
  });

  test("keeps the rowid of a row with a key where it is free, and the row where it is not", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT)");
      const sink = await open({ mode: "upsert" });
      const { mark } = await sink.write(
        [
          { id: "a", n: 1 },
          { id: "b", n: 2 },
          { id: "c", n: 3 },
        ],
        by("t"),
      );
      await sink.revertTo(null, by("r1"), gently);
      exec("INSERT INTO t (rowid, id) VALUES (2, 'other')");
      expect(await sink.revertTo(mark, by("r2"), gently)).toMatchObject({ restored: 3, kept: [] });
      expect(query("SELECT rowid, id FROM t ORDER BY id")).toEqual([
        [1n, "a"],
        [4n, "b"],
        [3n, "c"],
        [2n, "other"],
      ]);
    });
  });

  test("lets values of a further unique column change places", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, rank INT UNIQUE)");
      const sink = await open({ mode: "upsert" });
      const first = await sink.write(
        [
          { id: "a", rank: 1 },
          { id: "b", rank: 2 },
          { id: "c", rank: 3 },
        ],
        by("t1"),
      );
      const early = query("SELECT rowid, * FROM t ORDER BY id");
      await sink.write(
        [
          { id: "a", rank: 9 },
          { id: "b", rank: 1 },
          { id: "c", rank: 2 },
          { id: "a", rank: 3 },
        ],
        by("t2"),
      );
      await sink.revertTo(first.mark, by("r1"), gently);
      expect(query("SELECT rowid, * FROM t ORDER BY id")).toEqual(early);
    });
  });

  test("does not set off what hangs on a row that is only replaced", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec(`CREATE TABLE t (id TEXT PRIMARY KEY, rank INT UNIQUE);
            CREATE TABLE child (of TEXT REFERENCES t (id) ON DELETE CASCADE)`);
      const sink = await open({ mode: "upsert" });
      const first = await sink.write([{ id: "a", rank: 1 }], by("t1"));
      exec("INSERT INTO child VALUES ('a')");
      await sink.write([{ id: "a", rank: 2 }], by("t2"));
      await sink.revertTo(first.mark, by("r1"), gently);
      expect(query("SELECT * FROM t")).toEqual([["a", 1n]]);
      expect(query("SELECT * FROM child")).toEqual([["a"]]);
    });
  });

  test("refuses with NOT_REVERTIBLE what a foreign key or a unique column forbids, and changes nothing", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE); CREATE TABLE child (of INT REFERENCES t (id))`);
      const sink = await open({ mode: "append" });
      const { mark } = await sink.write(
        [
          { id: 1, u: "a" },
          { id: 2, u: "b" },
        ],
        by("t1"),
      );
      exec("INSERT INTO child VALUES (2)");
      await expect(sink.revertTo(null, by("r1"), gently)).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
      expect(query("SELECT id FROM t")).toEqual([[1n], [2n]]);
      exec("DELETE FROM child");
      await sink.revertTo(null, by("r2"), gently);
      exec("INSERT INTO t VALUES (7, 'a')");
      await expect(sink.revertTo(mark, by("r3"), gently)).rejects.toMatchObject({ code: "NOT_REVERTIBLE" });
      expect(query("SELECT id FROM t")).toEqual([[7n]]);
    });
  });

  test("knows rows as its triggers have left them", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, note TEXT);
            CREATE TRIGGER stamp AFTER INSERT ON t BEGIN UPDATE t SET note = 'stamped' WHERE id = new.id; END;
            CREATE TRIGGER drops BEFORE INSERT ON t WHEN new.n < 0 BEGIN SELECT raise(IGNORE); END`);
      const sink = await open({ mode: "append" });
      expect(await sink.write([{ n: 1 }, { n: -1 }, { n: 2 }], by("t"))).toMatchObject({ rows: 2 });
      expect(await sink.inspect(null)).toMatchObject({ remove: 2, foreignTotal: 0 });
      await sink.revertTo(null, by("r"), gently);
      expect(query("SELECT * FROM t")).toEqual([]);
    });
  });
});

describe("timelines that find rows differently", () => {
  test("each see what the other wrote since as the other's, even the same content", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id TEXT PRIMARY KEY, n INT)");
      const byRowid = await open({ mode: "append" }, { timeline: "one" });
      const byKey = await open({ mode: "upsert", key: "id" }, { timeline: "two" });
      const rows = ["a", "b", "c"].map((id) => ({ id, n: 1 }));
      await byRowid.write(rows, by("t"));
      await byKey.write(rows.slice(1), by("t"));
      expect((await byRowid.inspect(null)).foreign).toEqual([
        { item: "t[rowid=2]", change: "changed" },
        { item: "t[rowid=3]", change: "changed" },
      ]);
      await byRowid.revertTo(null, by("r1"), gently);
      expect(query("SELECT id FROM t")).toEqual([["b"], ["c"]]);
      exec("DELETE FROM t WHERE id = 'c'");
      await byRowid.write([{ id: "c", n: 1 }], by("t2"));
      expect((await byKey.inspect(null)).foreign).toEqual([{ item: 't[id="c"]', change: "changed" }]);
      await byKey.revertTo(null, by("r2"), gently);
      expect(query("SELECT id FROM t")).toEqual([["b"], ["c"]]);
      expect((await byRowid.inspect(null)).foreign).toEqual([]);
    });
  });

  test("do not take a row for their own that another one put at a rowid of theirs", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (n INT)");
      const one = await open({ mode: "append" }, { timeline: "one" });
      const two = await open({ mode: "append" }, { timeline: "two" });
      await one.write([{ n: 1 }, { n: 2 }], by("t"));
      exec("DELETE FROM t WHERE n = 2");
      await two.write([{ n: 2 }], by("t"));
      expect((await one.inspect(null)).foreign).toEqual([{ item: "t[rowid=2]", change: "changed" }]);
      await one.revertTo(null, by("r"), gently);
      expect(query("SELECT n FROM t")).toEqual([[2n]]);
    });
  });

  test("append to a table without rowid by its primary key", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (a INT, b TEXT, n INT, PRIMARY KEY (b, a)) WITHOUT ROWID");
      const sink = await open({ mode: "append" });
      const { mark } = await sink.write(
        [
          { a: 1, b: "x", n: 1 },
          { a: 2, b: "x", n: 2 },
        ],
        by("t"),
      );
      const before = query("SELECT * FROM t");
      await expect(sink.write([{ a: 1, b: "x" }], by("u"))).rejects.toMatchObject({
        code: "RECORD_INVALID",
        message: "rows[0] was refused: UNIQUE constraint failed: t.b, t.a",
      });
      await sink.revertTo(null, by("r1"), gently);
      await sink.revertTo(mark, by("r2"), gently);
      expect(query("SELECT * FROM t")).toEqual(before);
      exec("UPDATE t SET n = 5 WHERE a = 2");
      expect((await sink.inspect(null)).foreign).toEqual([{ item: 't[b="x", a=2]', change: "changed" }]);
    });
  });
});

describe("the sink's books", () => {
  test("keep at most 9 bytes for a row that was appended", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "append", columns: { n: "INTEGER", note: "TEXT" } });
      const batch = Array.from({ length: 10_000 }, (_, n) => ({ n, note: "about what a row has" }));
      for (let index = 0; index < 5; index++) await sink.write(batch, by(`t${index}`));
      const size = (like: string): number =>
        Number(query(`SELECT sum(payload) FROM dbstat WHERE aggregate = 1 AND name LIKE '${like}'`)[0]?.[0]);
      expect(size("memento_sink_%") / 50_000).toBeLessThan(9);
    });
  });

  test("are given back by a trim", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "upsert", columns: { id: "INTEGER", note: "TEXT" }, key: "id" });
      const random = new SeededRandom(1);
      for (let index = 0; index < 20; index++) {
        const rows = Array.from({ length: 50 }, () => ({ id: random.integer(100), note: "x".repeat(50) }));
        await sink.write(rows, by(`t${index}`));
        if (index % 5 === 4) await sink.revertTo({ position: 1 + index }, by(`r${index}`), gently);
      }
      await sink.trim(await sink.mark());
      for (const table of ["memento_sink_entries", "memento_sink_blocks", "memento_sink_rows_1"]) {
        expect(query(`SELECT count(*) FROM ${table}`)).toEqual([[0n]]);
      }
    });
  });

  test("forget old tokens when trimmed, and keep those of the newest positions", async () => {
    await withSinks(async ({ open }) => {
      const sink = await open({ mode: "append", columns: { n: "INTEGER" } });
      const last = 2 * TOKEN_POSITIONS_KEPT;
      for (let n = 1; n <= last; n++) await sink.write([{ n }], by(`t${n}`));
      await sink.trim(await sink.mark());
      expect((await sink.write([{ n: 1 }], by(`t${last}`))).duplicate).toBe(true);
      expect((await sink.write([{ n: 1 }], by(`t${TOKEN_POSITIONS_KEPT + 1}`))).duplicate).toBe(true);
      expect((await sink.write([{ n: 1 }], by(`t${TOKEN_POSITIONS_KEPT}`))).duplicate).toBe(false);
    });
  });

  test("let several calls at once take their turns", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "append", columns: { n: "INTEGER" } });
      const writes = Array.from({ length: 20 }, (_, n) => sink.write([{ n }], by(`t${n}`)));
      const marks = (await Promise.all(writes)).map(({ mark }) => mark);
      expect(marks).toEqual(Array.from({ length: 20 }, (_, index) => ({ position: index + 1 })));
      await sink.close();
      expect(query("SELECT count(*) FROM t")).toEqual([[20n]]);
    });
  });

  test("leave nothing of a revert whose signal is raised on the way", async () => {
    await withSinks(async ({ open, query }) => {
      const stop = new AbortController();
      const sink = await open({ mode: "append", columns: { n: "INTEGER" } }, { signal: stop.signal });
      await sink.write(
        Array.from({ length: 40_000 }, (_, n) => ({ n })),
        by("t"),
      );
      const revert = sink.revertTo(null, by("r"), gently);
      setImmediate(() => void setImmediate(() => stop.abort(new Error("stopped"))));
      await expect(revert).rejects.toThrow("stopped");
      expect(query("SELECT count(*) FROM t")).toEqual([[40_000n]]);
      expect(await sink.mark()).toEqual({ position: 1 });
    });
  });
});
