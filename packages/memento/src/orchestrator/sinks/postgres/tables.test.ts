import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { bench, load } from "../../../../../../test/harness/number-runs.ts";
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

  test("a run does not go on where its table was dropped or renamed, and nobody makes one in its place but by force", async () => {
    const { table, url } = place();
    const { memento } = await bench();
    let broken = true;
    const before = (n: number): void => {
      if (broken && n === 55) throw new Error("the power is gone");
    };
    const into = load(() => postgresTable({ table, url, mode: "append", columns: { n: "int" } }), { before });
    const count = async (): Promise<unknown> =>
      (await server.query(`SELECT count(*)::int AS n FROM ${table}`))[0]?.["n"];
    await expect(memento.run(into)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    broken = false;
    const written = await count();
    await server.query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
    await expect(memento.run(into)).rejects.toMatchObject({ code: "SINK_MOVED" });
    const plan = await memento.plan(into, "start");
    expect(plan.sinks).toMatchObject([{ verdict: "unchanged" }, { verdict: "elsewhere" }]);
    await server.query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
    expect(await count()).toBe(written);
    expect(await memento.run(into)).toMatchObject({ status: "completed", resumed: true });
    expect(await count()).toBe(95);
    await server.query(`DROP TABLE ${table}`);
    const { hash } = await memento.plan(into, "start");
    await memento.rollback(into, "start", { plan: hash, force: ["table"] });
    expect(await memento.run(into)).toMatchObject({ status: "completed" });
    expect(await count()).toBe(95);
  });
});
