import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../../../../../../test/harness/servers/postgres.ts";
import { by, sinkContext, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { postgresTable } from "./table.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const started = isThere ? await startPostgres() : null;
const server = started as PostgresServer;
let tables = 0;

describe.skipIf(!isThere)("the table of postgresTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  const place = (): { table: string; url: string } => ({ table: `t${(tables += 1)}`, url: server.url("public") });

  test("makes no table whose name has a dot, and uses one that is there", async () => {
    const { table, url } = place();
    const options = {
      table: `public.${table}`,
      url,
      mode: "upsert",
      columns: { id: "INT", v: "INT" },
      key: "id",
    } as const;
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, v INT)`);
    await expect(postgresTable(options).open(sinkContext)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("the name alone") as string,
    });
    await server.query(`CREATE TABLE "public.${table}" (id INT PRIMARY KEY, v INT)`);
    await withSink(postgresTable(options), async (sink) => await sink.write([{ id: 1, v: 1 }], by("t")));
    expect(await server.query(`SELECT * FROM ${table}`)).toEqual([]);
  });

  test.each([
    ["no key", "id int", { mode: "append" }, "no primary key"],
    ["a key that may be NULL", "id int UNIQUE", { mode: "upsert", key: "id" }, "no unique index on id"],
    ["a key that is not there", "id int PRIMARY KEY", { mode: "upsert", key: "other" }, "no column other"],
    [
      "a column that is not there",
      "id int PRIMARY KEY",
      { mode: "append", columns: { id: "int", b: "int" } },
      "no column b",
    ],
  ] as const)("refuses %s", async (_, declared, options, message) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (${declared})`);
    const sink = postgresTable({ table, url, ...options });
    await expect(sink.open(sinkContext)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message) as string,
    });
  });
});
