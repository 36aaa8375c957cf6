import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { describe, expect, test } from "vitest";

import { readAll, withFolder } from "../../../../../../test/harness/source-reading.ts";
import type { Source, SourceOffset } from "../source.ts";
import { sqlRows, type SqlRowsOptions } from "../sql/sql-rows.ts";

type Reading = Omit<SqlRowsOptions, "url">;

/** Two tables that have the same keys, and three columns that could each be one. */
async function withTables(work: (source: (reading: Reading) => Source) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const file = path.join(folder, "a.db");
    const database = new DatabaseSync(file);
    for (const table of ["monday", "tuesday"]) {
      database.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, made INTEGER, changed INTEGER)`);
      database.exec(`INSERT INTO ${table} VALUES (1, 10, 100), (2, 20, 100), (3, 30, 20)`);
    }
    database.close();
    await work((reading) => sqlRows({ url: `sqlite:${file}`, ...reading }));
  });
}

/** An offset without one of its members. */
const without = (offset: SourceOffset | null, name: string): SourceOffset =>
  Object.fromEntries(Object.entries(offset ?? {}).filter(([key]) => key !== name));

describe("offsets by keys", () => {
  test.each<[Reading, Reading, string]>([
    [{ table: "monday", key: "id" }, { table: "tuesday", key: "id" }, "tuesday by id"],
    [{ table: "monday", key: "id" }, { table: "monday", key: "made" }, "monday by made"],
    [
      { table: "monday", key: "id", watermark: "made" },
      { table: "monday", key: "id", watermark: "changed" },
      "monday by changed, id",
    ],
    [{ table: "monday", key: "id" }, { query: "SELECT * FROM tuesday", key: "id" }, "a query by id"],
  ])("are refused for another table, and for other columns: %j, then %j", async (before, after, now) => {
    await withTables(async (sourceOf) => {
      const { offset } = await readAll(sourceOf(before));
      const source = sourceOf(after);
      const { records, error } = await readAll(source, { from: offset });
      expect(records).toEqual([]);
      expect(error).toMatchObject({ code: "SOURCE_MOVED", hint: expect.stringMatching(/--partition.*--unset/u) });
      expect(error?.message).toContain(now);
      expect(await source.inspect({ "0": offset }, {})).toMatchObject({ available: false });
      // A rollback to before it was read is the way out.
      expect(await source.inspect({}, { "0": offset })).toEqual({ available: true, problem: "", recordsBetween: null });
      expect((await readAll(source, { from: without(offset, "of") })).error).toBeNull();
    });
  });

  test("hold where the columns of the records, the condition or the query are other ones", async () => {
    await withTables(async (sourceOf) => {
      const byTable = await readAll(sourceOf({ table: "monday", key: "id", where: "id < 3" }));
      const rest = await readAll(sourceOf({ table: "monday", key: "id", columns: ["made"] }), { from: byTable.offset });
      expect(rest).toMatchObject({ records: [{ made: 30 }], error: null });
      const byQuery = await readAll(sourceOf({ query: "SELECT id FROM monday WHERE id < 3", key: "id" }));
      const more = sourceOf({ query: "SELECT id, made FROM monday", key: "id" });
      expect(await readAll(more, { from: byQuery.offset })).toMatchObject({
        records: [{ id: 3, made: 30 }],
        error: null,
      });
    });
  });
});
