import { describe, test } from "vitest";

import { extent } from "../../../../../../test/harness/extent.ts";
import { duckdbTablePlace, type KitTable } from "../../../../../../test/workers/duckdb-table.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const sequences = extent({ plain: 2, all: 12 });

const columns = "id VARCHAR NOT NULL, amount DOUBLE, note VARCHAR";

const tables: Record<string, KitTable> = {
  "append, rows by their numbers": {
    mode: "append",
    sql: `CREATE TABLE IF NOT EXISTS kit (${columns}, memento_row BIGINT)`,
    name: "memento_row",
  },
  "upsert by a key": {
    mode: "upsert",
    sql: `CREATE TABLE IF NOT EXISTS kit (${columns}, kind INTEGER GENERATED ALWAYS AS (1), PRIMARY KEY (id))`,
    name: "id",
  },
};

for (const [name, table] of Object.entries(tables)) {
  describe(`duckdbTable(): ${name}`, () => {
    testSink({
      describe,
      test,
      mode: table.mode,
      // A process that is stopped before its write must not have the file open.
      place: duckdbTablePlace(table, 0),
      badRow: { row: { id: null, amount: 1, note: null }, code: "RECORD_INVALID" },
      workerModule: new URL("../../../../../../test/workers/duckdb-table.ts", import.meta.url),
      sequences,
      locksOut: true,
      // A call opens the file and closes it, which is a checkpoint.
      killAfterMsMax: 500,
    });
  });
}
