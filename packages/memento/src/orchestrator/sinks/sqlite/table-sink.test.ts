import { describe, test } from "vitest";

import { extent } from "../../../../../../test/harness/extent.ts";
import { type KitTable, sqliteTablePlace } from "../../../../../../test/workers/sqlite-table.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const sequences = extent({ plain: 2, all: 12 });

const columns = "id TEXT NOT NULL, amount REAL, note TEXT";

const tables: Record<string, KitTable> = {
  "append, rows by rowid": {
    mode: "append",
    sql: `CREATE TABLE IF NOT EXISTS kit (${columns})`,
    names: ["rowid"],
  },
  "append, rows by an INTEGER PRIMARY KEY": {
    mode: "append",
    sql: `CREATE TABLE IF NOT EXISTS kit (n INTEGER PRIMARY KEY, ${columns})`,
    names: ["n"],
  },
  "upsert by a key": {
    mode: "upsert",
    sql: `CREATE TABLE IF NOT EXISTS kit (${columns}, PRIMARY KEY (id))`,
    key: "id",
    names: ["id"],
  },
  "upsert by a composite key, without rowid": {
    mode: "upsert",
    sql: `CREATE TABLE IF NOT EXISTS kit (kind INTEGER NOT NULL GENERATED ALWAYS AS (1), ${columns}, PRIMARY KEY (id)) WITHOUT ROWID`,
    names: ["id"],
  },
};

for (const [name, table] of Object.entries(tables)) {
  describe(`sqliteTable(): ${name}`, () => {
    testSink({
      describe,
      test,
      mode: table.mode,
      place: sqliteTablePlace(table),
      badRow: { row: { id: null, amount: 1, note: null }, code: "RECORD_INVALID" },
      workerModule: new URL("../../../../../../test/workers/sqlite-table.ts", import.meta.url),
      sequences,
      locksOut: true,
    });
  });
}
