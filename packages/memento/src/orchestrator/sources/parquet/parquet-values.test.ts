import path from "node:path";

import { type DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { type ReadResult, readAll, withFolder } from "../../../../../../test/harness/source-reading.ts";
import { parquetFile, type ParquetRow } from "./parquet-file.ts";

let duckdb: DuckDBConnection;
beforeAll(async () => {
  duckdb = await (await DuckDBInstance.create(":memory:")).connect();
});
afterAll(() => duckdb.closeSync());

/** The rows of a file that DuckDB makes of a query. */
async function read(query: string, options = ""): Promise<ReadResult<ParquetRow>> {
  return await withFolder(async (folder) => {
    const file = path.join(folder, "a.parquet");
    await duckdb.run(`COPY (${query}) TO '${file}' (FORMAT parquet${options})`);
    return await readAll(parquetFile({ path: file }));
  });
}

/** Few different values stand in a dictionary, many in the pages themselves. */
const encodings = [
  ["in a dictionary", 1],
  ["in pages", 3000],
] as const;

describe.each(encodings)("values of parquetFile(), %s,", (_, different) => {
  const rows = 3000;
  const some = (query: string): string =>
    `SELECT ${query} FROM (SELECT i % ${different} AS i FROM range(${rows}) AS r(i))`;

  test("are decimals as numbers where those keep every digit, else bigints or texts", async () => {
    const { records, error } = await read(
      some(`(i + 0.3)::DECIMAL(9,1) AS tenth, (1.05 - i)::DECIMAL(18,2) AS cents, (i + 12345678901234567890.1234567890)::DECIMAL(38,10) AS wide,
        (0.0000000001 - i)::DECIMAL(38,10) AS small, (i - 99999999999999999999999999999999999999)::DECIMAL(38,0) AS whole, i::DECIMAL(38,0) AS few,
        CASE WHEN i % 2 = 1 THEN i::DECIMAL(20,1) END AS odd`),
    );
    expect(error).toBeNull();
    const expected = Array.from({ length: rows }, (_each, row) => {
      const i = row % different;
      return {
        tenth: Number(`${i}.3`),
        cents: i === 0 ? 1.05 : i === 1 ? 0.05 : -Number(`${i - 2}.95`),
        wide: `${12345678901234567890n + BigInt(i)}.1234567890`,
        small: i === 0 ? 1e-10 : -Number(`${i - 1}.9999999999`),
        whole: BigInt(i) - (10n ** 38n - 1n),
        few: i,
        odd: i % 2 === 1 ? i : null,
      };
    });
    expect(records).toEqual(expected);
  });

  test("are moments as dates to the millisecond, and as text in UTC where they are finer", async () => {
    const { records, error } = await read(
      some(`TIMESTAMP '2020-01-01 00:00:00.123456' + INTERVAL (i) SECOND AS micros, TIMESTAMPTZ '2020-01-01 00:00:00.5+02' AS whole,
        TIMESTAMP_NS '1969-12-31 23:59:59.999999999' AS nanos, TIMESTAMP '1900-01-01 00:00:00.000001' AS early,
        TIMESTAMP '1970-01-01 00:00:00' + INTERVAL (i) MILLISECOND AS millis, TIMESTAMP '1970-01-01' + INTERVAL (i % 2000) MICROSECOND AS mixed`),
    );
    expect(error).toBeNull();
    for (const [row, record] of records.entries()) {
      const i = row % different;
      const at = new Date(Date.UTC(2020, 0, 1) + i * 1000).toISOString();
      expect(record).toEqual({
        micros: at.replace(".000Z", ".123456Z"),
        whole: new Date("2019-12-31T22:00:00.500Z"),
        nanos: "1969-12-31T23:59:59.999999999Z",
        early: "1900-01-01T00:00:00.000001Z",
        millis: new Date(i),
        mixed:
          i % 1000 === 0 ? new Date((i % 2000) / 1000) : `1970-01-01T00:00:00.${String(i % 2000).padStart(6, "0")}Z`,
      });
    }
    expect(records).toHaveLength(rows);
  });

  test("are moments as text where they are too far away for a date, as what stands for infinity is", async () => {
    const { records, error } = await read(
      some(`CASE WHEN i % 2 = 0 THEN TIMESTAMP 'infinity' ELSE TIMESTAMP '-infinity' END AS micros, DATE 'infinity' AS day, DATE '-infinity' AS first,
        [TIMESTAMP 'infinity', TIMESTAMP '2020-01-01'] AS list, TIMESTAMP '290000-02-29 01:02:03' AS far, TIMESTAMP_MS '290000-02-29 01:02:03.5' AS millis,
        TIMESTAMP '275760-09-13' AS last, TIMESTAMP '275760-09-13 00:00:00.001' AS next, DATE '5874897-12-31' AS late, TIMESTAMP '290000-01-01 (BC)' AS early`),
    );
    expect(error).toBeNull();
    expect(records).toHaveLength(rows);
    for (const [row, record] of records.entries()) {
      const infinity = "+294247-01-10T04:00:54.775807Z";
      expect(record).toEqual({
        micros: (row % different) % 2 === 0 ? infinity : "-290308-12-21T19:59:05.224193Z",
        day: "+5881580-07-11T00:00:00.000Z",
        first: "-5877641-06-24T00:00:00.000Z",
        list: [infinity, new Date("2020-01-01")],
        far: "+290000-02-29T01:02:03.000Z",
        millis: "+290000-02-29T01:02:03.500Z",
        last: new Date(8.64e15),
        next: "+275760-09-13T00:00:00.001Z",
        late: "+5874897-12-31T00:00:00.000Z",
        early: "-289999-01-01T00:00:00.000Z",
      });
    }
  });

  test("keep their digits in lists, structs, maps and JSON", async () => {
    const { records, error } = await read(
      some(`[1.5::DECIMAL(9,2), NULL, 0.3] AS list, [[i::DECIMAL(38,1) + 0.3], []] AS lists, {'d': 12345678901234567890.5::DECIMAL(38,1), 'n': i} AS struct,
        [{'d': 0.3::DECIMAL(4,1)}, NULL] AS structs, MAP {'k': 99999999999999999999::DECIMAL(38,0)} AS map, MAP {12.25::DECIMAL(9,2): 1} AS keys,
        MAP {12345678901234567890.5::DECIMAL(38,1): [0.3]} AS wide_keys, NULL::DECIMAL(9,2)[] AS nothing,
        [TIMESTAMP '2020-01-01 00:00:00.123456', TIMESTAMP '2020-01-01'] AS moments, '{"a":[12345678901234567890]}'::JSON AS json,
        ['9007199254740993'::JSON] AS jsons`),
    );
    expect(error).toBeNull();
    expect(records).toHaveLength(rows);
    for (const [row, record] of records.entries()) {
      const i = row % different;
      expect(record).toEqual({
        list: [1.5, null, 0.3],
        lists: [[Number(`${i}.3`)], []],
        struct: { d: "12345678901234567890.5", n: i },
        structs: [{ d: 0.3 }, null],
        map: { k: 99999999999999999999n },
        keys: { "12.25": 1 },
        wide_keys: { "12345678901234567890.5": [0.3] },
        nothing: null,
        moments: ["2020-01-01T00:00:00.123456Z", new Date("2020-01-01")],
        json: { a: [12345678901234567890n] },
        jsons: [9007199254740993n],
      });
    }
  });
});

test("a number in JSON that cannot be kept is refused by column and path", async () => {
  const { error } = await read(`SELECT '{"a":[1e400]}'::JSON AS j`);
  expect(error).toMatchObject({ code: "RECORD_INVALID" });
  expect(error?.message).toMatch(/: the JSON of column "j" holds a number that cannot be kept, at \$\.a\[0\]$/);
});
