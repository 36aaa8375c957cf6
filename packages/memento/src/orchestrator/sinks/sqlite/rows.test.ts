import { describe, expect, test } from "vitest";

import { by, withSinks } from "../../../../../../test/workers/sqlite-sinks.ts";

const columns = { a: "TEXT", b: "INTEGER", c: "REAL", d: "BLOB" } as const;

describe("rows of sqliteTable()", () => {
  test("keep every kind of value that a column holds", async () => {
    await withSinks(async ({ open, query }) => {
      const sink = await open({ mode: "append", columns });
      await sink.write(
        [
          { a: "x\0y", b: 1, c: 2, d: new Uint8Array([0, 255]) },
          { a: new Date(0), b: true, c: -0.5, d: Buffer.from("z") },
          { a: 5, b: 2n ** 63n - 1n, c: Infinity, d: 5 },
          { a: 0.25, b: false, c: 3n, d: null },
          { a: undefined, b: null },
          {},
        ],
        by("t"),
      );
      expect(query("SELECT a, b, c, d FROM t ORDER BY rowid")).toEqual([
        ["x\0y", 1n, 2, new Uint8Array([0, 255])],
        ["1970-01-01T00:00:00.000Z", 1n, -0.5, new Uint8Array([122])],
        ["5", 2n ** 63n - 1n, Infinity, 5n],
        ["0.25", 0n, 3, null],
        [null, null, null, null],
        [null, null, null, null],
      ]);
    });
  });

  test.each([
    ["NaN", { b: Number.NaN }, "rows[1].b is NaN"],
    ["an integer past 64 bits", { b: 2n ** 63n }, "rows[1].b is an integer of more than 64 bits"],
    ["a lone surrogate", { a: "\ud800" }, "rows[1].a holds a lone surrogate"],
    ["an object", { a: { x: 1 } }, "rows[1].a is an object"],
    ["an array", { a: [1] }, "rows[1].a is an array"],
    ["a class instance", { a: new Map() }, "rows[1].a is a Map"],
    ["a function", { a: () => 1 }, "rows[1].a is a function"],
    ["a symbol", { a: Symbol("s") }, "rows[1].a is a symbol"],
    ["an invalid date", { a: new Date(Number.NaN) }, "rows[1].a is an invalid date"],
  ])("refuse %s, naming row and column", async (_, bad, message) => {
    await withSinks(async ({ open, query }) => {
      for (const options of [{ mode: "append" }, { mode: "upsert", key: "a" }] as const) {
        const sink = await open({ ...options, columns: { ...columns } }, { name: options.mode }).catch(() => null);
        if (sink === null) continue;
        const write = sink.write([{ a: "fine" }, { a: "key", ...bad }], by("t"));
        await expect(write).rejects.toMatchObject({
          code: "UNSUPPORTED_VALUE",
          message: expect.stringContaining(message) as string,
        });
        expect(query("SELECT * FROM t")).toEqual([]);
      }
    });
  });

  test.each([
    ["no object", 5, "rows[1] is not an object"],
    ["null", null, "rows[1] is not an object"],
    ["an array", ["a"], "rows[1] is not an object"],
    ["an unknown column", { a: "x", delay: 1 }, "rows[1].delay is no column"],
  ])("refuse %s in the place of a row", async (_, bad, message) => {
    await withSinks(async ({ open }) => {
      const sink = await open({ mode: "append", columns });
      await expect(sink.write([{ a: "fine" }, bad as never], by("t"))).rejects.toMatchObject({
        code: "RECORD_INVALID",
        message: expect.stringContaining(message) as string,
      });
    });
  });

  test.each([
    [
      "a duplicate key",
      "append",
      [{ id: 1 }, { id: 2 }, { id: 1 }],
      "rows[2] was refused: UNIQUE constraint failed: t.id",
    ],
    ["a key that was there", "append", [{ id: 3 }, { id: 9 }], "rows[1] was refused: UNIQUE constraint failed: t.id"],
    [
      "a CHECK",
      "append",
      [
        { id: 3, n: 1 },
        { id: 4, n: -1 },
      ],
      "rows[1] was refused: CHECK constraint failed: positive",
    ],
    [
      "a CHECK",
      "upsert",
      [
        { id: 9, n: 1 },
        { id: 4, n: -1 },
      ],
      "rows[1] was refused: CHECK constraint failed: positive",
    ],
    [
      "another UNIQUE",
      "upsert",
      [
        { id: 1, u: "x" },
        { id: 2, u: "x" },
      ],
      "rows[1] was refused: UNIQUE constraint failed: t.u",
    ],
    ["a missing key", "upsert", [{ id: 1 }, { n: 2 }], "rows[1].id is NULL, and rows are found by it"],
    ["text as a rowid", "append", [{ id: 1 }, { id: "x" }], "rows[1] was refused: datatype mismatch"],
    ["text as a rowid", "upsert", [{ id: 1 }, { id: "x" }], "rows[1] was refused: datatype mismatch"],
  ] as const)("%s (%s) refuses the batch, naming row and constraint", async (_, mode, rows, message) => {
    await withSinks(async ({ open, exec, query }) => {
      exec("CREATE TABLE t (id INTEGER PRIMARY KEY, n INT CONSTRAINT positive CHECK (n >= 0), u TEXT UNIQUE)");
      const sink = await open({ mode, key: "id" });
      await sink.write([{ id: 9 }], by("first"));
      await expect(sink.write(rows, by("t"))).rejects.toMatchObject({ code: "RECORD_INVALID", message });
      expect(query("SELECT id FROM t")).toEqual([[9n]]);
      expect((await sink.write([{ id: 10 }], by("t"))).duplicate).toBe(false);
    });
  });

  test("are never put in by an ON CONFLICT clause of the table", async () => {
    await withSinks(async ({ open, exec, query }) => {
      exec(
        "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, n INT UNIQUE ON CONFLICT IGNORE); INSERT INTO t VALUES (1, 1)",
      );
      const append = await open({ mode: "append" });
      await expect(append.write([{ id: 1, n: 2 }], by("t"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      const upsert = await open({ mode: "upsert" }, { name: "other" });
      await expect(upsert.write([{ id: 2, n: 1 }], by("t"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      expect(query("SELECT * FROM t")).toEqual([[1n, 1n]]);
    });
  });
});
