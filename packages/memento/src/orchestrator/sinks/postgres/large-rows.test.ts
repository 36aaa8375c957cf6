import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../../../../../../test/harness/servers/postgres.ts";
import { startProxy } from "../../../../../../test/harness/servers/tcp-proxy.ts";
import { by, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { postgresTable } from "./table.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const started = isThere ? await startPostgres() : null;
const server = started as PostgresServer;

describe.skipIf(!isThere)("large rows of postgresTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  test.each(["append", "upsert"] as const)("go out by several statements in an %s", async (mode) => {
    await server.query(`CREATE TABLE ${mode} (id int PRIMARY KEY, doc text)`);
    await using proxy = await startProxy(server.port);
    const sink = postgresTable({ table: mode, url: server.url("public", proxy.port), mode, key: "id" });
    await withSink(sink, async () => {
      let statements = 0;
      proxy.passage = {
        toServer: (bytes) => {
          if (bytes.includes("row_number")) statements += 1;
          return true;
        },
      };
      const rows = Array.from({ length: 20 }, (_, id) => ({ id, doc: "x".repeat(1_000_000) }));
      expect(await sink.write(rows, by("t1"))).toMatchObject({ rows: 20 });
      expect(statements).toBe(2);
      expect(await server.query(`SELECT count(*)::int AS rows, min(length(doc)) AS least FROM ${mode}`)).toEqual([
        { rows: 20, least: 1_000_000 },
      ]);
      expect(await sink.revertTo(null, by("r1"), { force: false })).toMatchObject({ removed: 20, kept: [] });
    });
  });
});
