import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb, type MariadbServer } from "../../../../../../test/harness/servers/mariadb.ts";
import { type MysqlKitTable, mysqlTablePlace } from "../../../../../../test/workers/mysql-table.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const server = isThere ? await startMariadb() : null;

const columns = "id VARCHAR(100) NOT NULL, amount DOUBLE, note TEXT";

const tables: Record<string, MysqlKitTable> = {
  "append, rows by numbers that the server draws": {
    mode: "append",
    columns: `n BIGINT AUTO_INCREMENT PRIMARY KEY, ${columns}`,
    name: "n",
  },
  "upsert by a key": { mode: "upsert", columns: `${columns}, PRIMARY KEY (id)`, name: "id" },
  "upsert by a unique index beside another one": {
    mode: "upsert",
    columns: `${columns}, UNIQUE KEY (id), UNIQUE KEY (id, amount)`,
    key: "id",
    name: "id",
  },
};

describe.skipIf(!isThere)("mysqlTable()", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  for (const [name, table] of Object.entries(tables)) {
    describe(name, () => {
      testSink({
        describe,
        test,
        mode: table.mode,
        place: mysqlTablePlace(() => server as MariadbServer, table),
        badRow: { row: { id: null, amount: 1, note: null }, code: "RECORD_INVALID" },
        workerModule: new URL("../../../../../../test/workers/mysql-table.ts", import.meta.url),
      });
    });
  }
});
