import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../../test/harness/servers/postgres.ts";
import { readAll } from "../../../../../../test/harness/source-reading.ts";
import { sqlRows } from "./sql-rows.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);

describe.skipIf(!isThere)("sqlRows() on PostgreSQL", () => {
  let server: Awaited<ReturnType<typeof startPostgres>>;
  beforeAll(async () => {
    server = await startPostgres();
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test("keeps every digit in JSON, and in lists of decimals and of JSON", async () => {
    await server.query("CREATE TABLE digits (id int PRIMARY KEY, j jsonb, k json, n numeric[], l jsonb[], g jsonb[])");
    await server.query(
      `INSERT INTO digits VALUES (1, '{"a":12345678901234567890,"b":[0.5]}', '9007199254740993', '{1.10,NULL}', '{"9007199254740993",NULL}',
       ARRAY[['1'],['"\\"x,{"']]::jsonb[]), (2, 'null', '"9007199254740993"', '{{1},{2.50}}', '{}', NULL)`,
    );
    const source = sqlRows({ url: server.url("public"), table: "digits", key: "id" });
    expect(await readAll(source)).toMatchObject({
      records: [
        {
          id: 1,
          j: { a: 12345678901234567890n, b: [0.5] },
          k: 9007199254740993n,
          n: ["1.10", null],
          l: [9007199254740993n, null],
          g: [[1], ['"x,{']],
        },
        { id: 2, j: null, k: "9007199254740993", n: [["1"], ["2.50"]], l: [], g: null },
      ],
      error: null,
    });
    await source.close();
  });

  test("gives intervals as texts, which can be kept, and goes on behind one", async () => {
    await server.query(
      `CREATE TABLE spans AS SELECT id, make_interval(months => 13, days => id, secs => 0.123456) AS took,
       ARRAY['-1 day'::interval, NULL] AS list FROM generate_series(1, 3) AS id`,
    );
    const source = sqlRows({ url: server.url("public"), table: "spans", key: "id", watermark: "took" });
    const { records, batches } = await readAll(source, { batchRecords: 1 });
    const row = (id: number, days: string): object => ({
      id,
      took: `1 year 1 mon ${days} 00:00:00.123456`,
      list: ["-1 days", null],
    });
    expect(records).toEqual([row(1, "1 day"), row(2, "2 days"), row(3, "3 days")]);
    const rest = await readAll(source, { from: batches[0]?.offset ?? null });
    expect(rest).toMatchObject({ records: records.slice(1), error: null });
    await source.close();
  });

  test("refuses a number in JSON that it cannot keep, by its path, and goes on to read", async () => {
    await server.query(`CREATE TABLE wide AS SELECT 1 AS id, '{"a":[1e400]}'::json AS j`);
    const source = sqlRows({ url: server.url("public"), table: "wide", key: "id" });
    const { error } = await readAll(source);
    expect(error).toMatchObject({ code: "RECORD_INVALID" });
    expect(error?.message).toMatch(/a row's JSON holds a number that cannot be kept, at \$\.a\[0\]$/);
    await server.query(`UPDATE wide SET j = '1'`);
    expect(await readAll(source)).toMatchObject({ records: [{ id: 1, j: 1 }], error: null });
    await source.close();
  });
});
