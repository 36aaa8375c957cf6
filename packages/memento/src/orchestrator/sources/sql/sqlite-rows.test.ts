import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { expect, test } from "vitest";

import { readAll, withFolder } from "../../../../../../test/harness/source-reading.ts";
import { sqlRows } from "./sql-rows.ts";

test("goes on behind infinities, and says of an offset that is none of the table's that it is not", async () => {
  await withFolder(async (folder) => {
    const file = path.join(folder, "source.db");
    const database = new DatabaseSync(file);
    database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, w REAL)");
    database.exec("INSERT INTO t VALUES (1, 1.5), (2, 9e999), (3, 9e999), (4, -9e999)");
    database.close();
    const source = sqlRows<{ id: number }>({ url: `sqlite:${file}`, table: "t", key: "id", watermark: "w" });
    const { records, batches } = await readAll(source, { batchRecords: 1 });
    expect(records.map(({ id }) => id)).toEqual([4, 1, 2, 3]);
    for (const [index, { offset }] of batches.entries()) {
      const from = JSON.parse(JSON.stringify(offset)) as typeof offset;
      expect(await readAll(source, { from })).toMatchObject({ error: null, records: records.slice(index + 1) });
    }
    for (const after of [
      [null, 2],
      [{ integer: "x" }, 2],
      [{ number: "x" }, 2],
    ])
      expect((await readAll(source, { from: { after, records: 1 } })).error).toMatchObject({ code: "SOURCE_MOVED" });
    await source.close();
  });
});
