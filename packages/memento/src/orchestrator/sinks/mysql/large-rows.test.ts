import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb, type MariadbServer } from "../../../../../../test/harness/servers/mariadb.ts";
import { by, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { mysqlTable } from "./table.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const started = isThere ? await startMariadb() : null;
const server = started as MariadbServer;

describe.skipIf(!isThere)("large rows of mysqlTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  test.each(["append", "upsert"] as const)(
    "go in up to what the server takes, and are refused by name in an %s",
    async (mode) => {
      const url = `mariadb://root@127.0.0.1:${server.port}/memento`;
      await server.query(`CREATE TABLE ${mode} (id INT PRIMARY KEY, doc LONGTEXT)`);
      const [row] = await server.query("SELECT @@max_allowed_packet AS bytes");
      const bytes = Number(row?.["bytes"]);
      await withSink(mysqlTable({ table: mode, url, mode, key: "id" }), async (sink) => {
        const large = [
          { id: 1, doc: "x".repeat(900_000) },
          { id: 2, doc: "x".repeat(bytes - 1_000) },
        ];
        await expect(sink.write([...large, { id: 3, doc: "x".repeat(bytes) }], by("t1"))).rejects.toMatchObject({
          code: "RECORD_INVALID",
          details: { item: "rows[2]" },
        });
        expect(await server.query(`SELECT id FROM ${mode}`)).toEqual([]);
        expect(await sink.write(large, by("t1"))).toMatchObject({ rows: 2 });
        expect(await server.query(`SELECT id, LENGTH(doc) AS bytes FROM ${mode}`)).toEqual([
          { id: 1, bytes: 900_000 },
          { id: 2, bytes: bytes - 1_000 },
        ]);
      });
    },
  );
});
