import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../../test/harness/servers/mariadb.ts";
import { probePostgres, startPostgres } from "../../../../../../test/harness/servers/postgres.ts";
import { readAll, withFolder } from "../../../../../../test/harness/source-reading.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { sqlRows } from "./sql-rows.ts";

/** A database that a test writes to by hand. */
interface Base extends AsyncDisposable {
  readonly url: string;
  run(sql: string): Promise<unknown>;
}

interface Engine {
  readonly name: string;
  readonly isThere: boolean;
  readonly start: () => Promise<Base>;
  /** Conditions that take half a minute. */
  readonly slow: readonly string[];
  /** The columns of a table of values that are hard to order, and three rows of it in SQL; a type of texts without case. */
  readonly types: {
    readonly columns: string;
    readonly key: string;
    readonly rows: readonly string[];
    readonly folded: string;
  };
}

async function startSqlite(): Promise<Base> {
  let done = (): void => undefined;
  const lasting = new Promise<void>((resolve) => {
    done = resolve;
  });
  return await new Promise((give, fail) => {
    const lent = withFolder(async (folder) => {
      const file = path.join(folder, "source.db");
      const database = new DatabaseSync(file);
      give({
        url: `sqlite:${file}`,
        run: async (sql) => await Promise.resolve(database.exec(sql)),
        [Symbol.asyncDispose]: async () => {
          database.close();
          done();
          await lent;
        },
      });
      await lasting;
    });
    lent.catch(fail);
  });
}

const engines: readonly Engine[] = [
  {
    name: "SQLite",
    isThere: true,
    start: startSqlite,
    slow: [],
    types: {
      folded: "TEXT COLLATE NOCASE",
      columns: "k INTEGER PRIMARY KEY, d REAL, t TEXT, b BLOB",
      key: "k",
      rows: ["(-5, 0.1, 'x', x'00ff')", "(9007199254740992, NULL, 'é', NULL)", "(9007199254740993, 2, '', x'')"],
    },
  },
  {
    name: "PostgreSQL",
    isThere: await requireEngine("PostgreSQL", probePostgres),
    start: async () => {
      const server = await startPostgres();
      return Object.assign(server, { url: server.url("public").replace(/\?.*/u, ""), run: server.query });
    },
    slow: ["pg_sleep(30) IS NOT NULL"],
    types: {
      folded: "",
      columns: "k timestamptz(6) PRIMARY KEY, d numeric, t bigint, b bytea",
      key: "k",
      rows: [
        "('2026-01-01 00:00:00.000001+02', 0.10, 5, '\\x00ff')",
        "('2026-01-01 00:00:00.000002+02', NULL, 9007199254740993, NULL)",
        "('2026-01-01 00:00:00.000003+02', 2, 0, '')",
      ],
    },
  },
  {
    name: "MariaDB",
    isThere: await requireEngine("MariaDB", probeMariadb),
    start: async () => {
      const server = await startMariadb();
      return Object.assign(server, { url: server.url("x").replace(/\?.*/u, ""), run: server.query });
    },
    slow: ["SLEEP(30) = 0"],
    types: {
      folded: "VARCHAR(40) COLLATE utf8mb4_unicode_ci",
      columns: "k DECIMAL(30,6) PRIMARY KEY, d DATETIME(6), t BIGINT, b BLOB",
      key: "k",
      rows: [
        "(9007199254740993.000001, '2026-01-01 00:00:00.000001', 5, x'00ff')",
        "(9007199254740993.000002, NULL, 9007199254740993, NULL)",
        "(9007199254740993.000003, '2026-01-01 00:00:00', 0, x'')",
      ],
    },
  },
];

const TYPED = {
  SQLite: [
    { k: -5, d: 0.1, t: "x", b: Uint8Array.of(0, 255) },
    { k: 9007199254740992n, d: null, t: "é", b: null },
    { k: 9007199254740993n, d: 2, t: "", b: Uint8Array.of() },
  ],
  PostgreSQL: [
    { k: "2025-12-31 22:00:00.000001+00", d: "0.10", t: 5, b: Buffer.of(0, 255) },
    { k: "2025-12-31 22:00:00.000002+00", d: null, t: 9007199254740993n, b: null },
    { k: "2025-12-31 22:00:00.000003+00", d: "2", t: 0, b: Buffer.of() },
  ],
  MariaDB: [
    { k: "9007199254740993.000001", d: "2026-01-01 00:00:00.000001", t: 5, b: Buffer.of(0, 255) },
    { k: "9007199254740993.000002", d: null, t: 9007199254740993n, b: null },
    { k: "9007199254740993.000003", d: "2026-01-01 00:00:00.000000", t: 0, b: Buffer.of() },
  ],
} as Record<string, unknown[]>;

const values = (from: number, to: number, at: (id: number) => number): string =>
  Array.from(
    { length: to - from + 1 },
    (_, index) => `(${from + index}, ${at(from + index)}, 'row ${from + index}')`,
  ).join(",");

for (const { name, isThere, start, types, slow } of engines) {
  describe.skipIf(!isThere)(`sqlRows() on ${name}`, () => {
    let base: Base;
    let count = 0;
    beforeAll(async () => {
      base = await start();
    });
    afterAll(async () => {
      await base[Symbol.asyncDispose]();
    });

    /** A fresh table of ids and a number that grows, the same for seven rows each. */
    async function table(rows = 3000): Promise<string> {
      const made = `events_${(count += 1)}`;
      await base.run(`CREATE TABLE ${made} (id BIGINT PRIMARY KEY, at BIGINT, note VARCHAR(40))`);
      await base.run(`INSERT INTO ${made} VALUES ${values(1, rows, (id) => Math.floor(id / 7))}`);
      return made;
    }
    const ids = (records: readonly unknown[]): number[] => records.map((record) => (record as { id: number }).id);
    const upTo = (last: number, first = 1): number[] => Array.from({ length: last - first + 1 }, (_, at) => first + at);

    test.each([{ key: "id" }, { key: "id", watermark: "at" }, { key: ["at", "id"] }])(
      "reads every row once by %j, from every offset on",
      async (order) => {
        await using source = closing(sqlRows({ url: base.url, table: await table(), ...order }));
        const whole = await readAll(source, { batchRecords: 700 });
        expect(whole.error).toBeNull();
        expect(ids(whole.records)).toEqual(upTo(3000));
        expect(whole.records[13]).toEqual({ id: 14, at: 2, note: "row 14" });
        for (const { offset } of whole.batches) {
          const { records: done } = offset as { records: number };
          const rest = await readAll(source, { from: offset, batchRecords: 1001 });
          expect(ids(rest.records)).toEqual(upTo(3000, done + 1));
          const between = { available: true, problem: "", recordsBetween: 3000 - done };
          expect(await source.inspect({ "0": offset }, { "0": whole.offset })).toEqual(between);
        }
        // One row after the other, through the ties.
        const first = await readAll(source, { batchRecords: 1 });
        for (const { offset } of first.batches.slice(0, 30)) {
          for await (const { records } of source.read({ from: { "0": offset }, batchRecords: 1, signal: SIGNAL })) {
            expect(ids(records)).toEqual([(offset as { records: number }).records + 1]);
            break;
          }
        }
      },
    );

    test("reads the columns, rows and query that it is told to", async () => {
      const made = await table(50);
      const options = { url: base.url, key: "id", columns: ["note"], where: "id > 48 AND note <> '?'" };
      await using some = closing(sqlRows({ ...options, table: made }));
      expect((await readAll(some)).records).toEqual([{ note: "row 49" }, { note: "row 50" }]);
      const query = `SELECT id, at * 2 AS twice FROM ${made} WHERE id < 9`;
      await using asked = closing(sqlRows<{ id: number }>({ url: base.url, query, key: "id", watermark: "twice" }));
      const { records, batches } = await readAll(asked, { batchRecords: 3 });
      expect(ids(records)).toEqual(upTo(8));
      expect(ids((await readAll(asked, { from: batches[1]?.offset ?? null })).records)).toEqual([7, 8]);
    });

    test("gives every value exactly, and keeps keys to their last digit", async () => {
      const made = `typed_${(count += 1)}`;
      await base.run(`CREATE TABLE ${made} (${types.columns})`);
      await base.run(`INSERT INTO ${made} VALUES ${types.rows.join(", ")}`);
      await using source = closing(sqlRows({ url: base.url, table: made, key: types.key }));
      const { records, batches, error } = await readAll(source, { batchRecords: 1 });
      expect({ records, error }).toEqual({ records: TYPED[name], error: null });
      for (const [index, { offset }] of batches.entries()) {
        const from = JSON.parse(JSON.stringify(offset)) as typeof offset;
        expect((await readAll(source, { from })).records).toEqual(TYPED[name]?.slice(index + 1));
      }
    });

    test("reads new rows and changed ones, says which are gone, and sees late ones where it is to", async () => {
      const made = await table(100);
      const options = { url: base.url, table: made, key: "id" };
      await using byKey = closing(sqlRows(options));
      await using byChange = closing(sqlRows({ ...options, watermark: "at" }));
      await using growing = closing(sqlRows({ ...options, onlyGrows: true }));
      const [key, change] = [await readAll(byKey), await readAll(byChange)];
      await base.run(`INSERT INTO ${made} VALUES (101, 20, 'new')`);
      await base.run(`UPDATE ${made} SET at = 21, note = 'changed' WHERE id = 5`);
      expect(ids((await readAll(byKey, { from: key.offset })).records)).toEqual([101]);
      expect(ids((await readAll(byChange, { from: change.offset })).records)).toEqual([101, 5]);
      expect(await byChange.inspect({}, { "0": change.offset })).toMatchObject({
        available: true,
        recordsBetween: 100,
      });
      expect(ids((await readAll(growing, { from: key.offset })).records)).toEqual([101]);

      await base.run(`INSERT INTO ${made} VALUES (0, 0, 'late')`);
      expect(ids((await readAll(byKey, { from: key.offset })).records)).toEqual([101]);
      const late = await readAll(growing, { from: key.offset });
      expect(late.error).toMatchObject({ code: "SOURCE_MOVED", details: { rows: 101, read: 100 } });
      expect(await growing.inspect({ "0": key.offset }, { "0": key.offset })).toMatchObject({ available: false });

      await base.run(`DELETE FROM ${made} WHERE id < 10`);
      const gone = await byKey.inspect({}, { "0": key.offset });
      expect(gone).toMatchObject({ available: false, recordsBetween: 100 });
      expect(gone.problem).toContain("9 of the 100 rows");
    });

    for (const where of slow) {
      test("stops at once when it is told to, while the server still works", async () => {
        const source = sqlRows({ url: base.url, table: await table(10), key: "id", where });
        const stop = new AbortController();
        await source.open({ name: "rows", clock: new ManualClock(), signal: stop.signal });
        const reading = readAll(source, { signal: stop.signal });
        setTimeout(() => stop.abort(new Error("enough")), 100);
        expect((await reading).error).toMatchObject({ code: "CANCELLED", cause: stop.signal.reason });
        await source.close();
      }, 20_000);
    }

    test("says in a plan that the table is gone", async () => {
      const made = await table(10);
      await using source = closing(sqlRows({ url: base.url, table: made, key: "id" }));
      const { offset } = await readAll(source);
      await base.run(`DROP TABLE ${made}`);
      const inspection = await source.inspect({}, { "0": offset });
      expect(inspection).toMatchObject({ available: false, recordsBetween: 10 });
      expect(inspection.problem).toContain(made);
    });

    test("refuses offsets that it has not made, before it reads and in a plan", async () => {
      const options = { url: base.url, table: await table(20), key: "id" };
      await using source = closing(sqlRows(options));
      const { offset } = await readAll(source);
      const keys = [null, true, [1], {}, { integer: "x" }, { integer: "99999999999999999999" }, { number: "1 OR 1" }];
      for (const key of keys) {
        const from = { after: [key], records: 3 };
        const { error, records } = await readAll(source, { from });
        expect({ key, error, records }).toMatchObject({ key, error: { code: "SOURCE_MOVED" }, records: [] });
        expect(error?.message).toContain(source.describe());
        for (const [begin, end] of [
          [from, offset],
          [from, from],
          [offset, from],
        ] as const)
          expect(await source.inspect({ "0": begin }, { "0": end })).toMatchObject({ available: false });
      }
      for (const records of [-1, 1.5, "3", null, 2 ** 53])
        expect((await readAll(source, { from: { after: [3], records } })).error).toMatchObject({
          code: "SOURCE_MOVED",
        });
    });

    test("goes on from a number that was set by hand", async () => {
      await using source = closing(sqlRows({ url: base.url, table: await table(20), key: "id" }));
      expect(ids((await readAll(source, { from: { after: [17], records: 17 } })).records)).toEqual([18, 19, 20]);
    });

    test("refuses rows that have the key alike, wherever a page ends, and names the key", async () => {
      const made = `twice_${(count += 1)}`;
      await base.run(`CREATE TABLE ${made} (id BIGINT, part BIGINT, note VARCHAR(40))`);
      await base.run(`INSERT INTO ${made} VALUES ${values(1, 2000, () => 0)}, (1000, 1, 'twin')`);
      const options = { url: base.url, table: made, key: "id" };
      const alike = {
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("more than one row with id 1000:") as string,
        details: { columns: ["id"] },
      };
      for (const batchRecords of [1, 7, 500, 999, 1000, 1001, 5000]) {
        await using source = closing(sqlRows(options));
        expect((await readAll(source, { batchRecords })).error).toMatchObject(alike);
      }
      await using both = closing(sqlRows({ ...options, key: ["id", "part"] }));
      expect(await readAll(both, { batchRecords: 100 })).toMatchObject({ error: null, records: { length: 2001 } });
    });

    test("refuses a row that has come beside the last one that was read", async () => {
      const made = `twice_${(count += 1)}`;
      await base.run(`CREATE TABLE ${made} (id BIGINT, part BIGINT, note VARCHAR(40))`);
      await base.run(`INSERT INTO ${made} VALUES ${values(1, 20, () => 0)}`);
      await using source = closing(sqlRows({ url: base.url, table: made, key: "id" }));
      const { offset } = await readAll(source);
      const from = { "0": offset };
      expect(await readAll(source, { from: offset })).toMatchObject({ error: null, records: [] });
      expect(await source.inspect(from, from)).toMatchObject({ available: true });
      await base.run(`INSERT INTO ${made} VALUES (20, 1, 'twin'), (21, 0, 'new')`);
      expect((await readAll(source, { from: offset })).error).toMatchObject({ code: "INVALID_ARGUMENT" });
      const plan = await source.inspect(from, from);
      expect(plan).toMatchObject({ available: false });
      expect(plan.problem).toContain("more than one row with id 20:");
    });

    if (types.folded !== "")
      test("refuses texts that the engine takes for the same at a page's end", async () => {
        const made = `folded_${(count += 1)}`;
        await base.run(`CREATE TABLE ${made} (name ${types.folded}, id BIGINT)`);
        const names = Array.from({ length: 1500 }, (_, id) => `('k${String(id + 1).padStart(4, "0")}', ${id + 1})`);
        await base.run(`INSERT INTO ${made} VALUES ${names.join(", ")}, ('K1000', 0)`);
        await using source = closing(sqlRows({ url: base.url, table: made, key: "name" }));
        expect((await readAll(source)).error).toMatchObject({
          code: "INVALID_ARGUMENT",
          message: expect.stringMatching(/more than one row with name [kK]1000:/u) as string,
        });
        await using both = closing(sqlRows({ url: base.url, table: made, key: ["name", "id"] }));
        expect(await readAll(both)).toMatchObject({ error: null, records: { length: 1501 } });
      });

    test("refuses other orders' offsets, statements that fail, and options that contradict", async () => {
      const made = await table(20);
      const options = { url: base.url, table: made, key: "id" };
      await using source = closing(sqlRows(options));
      const { offset } = await readAll(source);
      await using other = closing(sqlRows({ ...options, watermark: "at" }));
      for (const from of [offset, 7, { after: [1], records: 1 }, { after: [1, 2], records: -1 }])
        expect((await readAll(other, { from })).error).toMatchObject({ code: "SOURCE_MOVED" });
      for (const wrong of [{ table: "missing" }, { where: "nothing = 1" }, { columns: ["nothing"] }, { where: "((" }]) {
        await using broken = closing(sqlRows({ ...options, ...wrong }));
        expect((await readAll(broken)).error).toMatchObject({ code: "INVALID_ARGUMENT" });
      }
      await using twice = closing(sqlRows({ ...options, key: "at" }));
      expect((await readAll(twice)).error).toMatchObject({ code: "INVALID_ARGUMENT" });
      const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });
      expect(() => sqlRows({ url: base.url, key: "id" })).toThrow(invalid);
      expect(() => sqlRows({ ...options, key: [] })).toThrow(invalid);
      expect(() => sqlRows({ ...options, columns: [] })).toThrow(invalid);
      expect(() => sqlRows({ ...options, url: "oracle://x" })).toThrow(invalid);
      const stopped = await readAll(source, { signal: AbortSignal.abort() });
      expect(stopped.error).toMatchObject({ code: "CANCELLED" });
    });
  });
}

const SIGNAL = new AbortController().signal;

function closing<Closed extends { close(): Promise<void> }>(source: Closed): Closed & AsyncDisposable {
  return Object.assign(source, { [Symbol.asyncDispose]: async () => await source.close() });
}

describe("sqlRows()", () => {
  test("says INPUT_MISSING where there is no database, and shows no secret", async () => {
    await withFolder(async (folder) => {
      const source = sqlRows({ url: `sqlite:${folder}/none.db`, table: "t", key: "id" });
      expect((await readAll(source)).error).toMatchObject({ code: "INPUT_MISSING" });
      expect(await source.inspect({}, {})).toMatchObject({ available: false });
    });
    const source = sqlRows({ url: "postgres://me:hunter2@127.0.0.1:1/db", table: "t", key: "id" });
    expect(source.describe()).toBe("rows of t in postgres://127.0.0.1:1/db");
    const { error } = await readAll(source);
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE" });
    expect(error?.message).not.toContain("hunter2");
    await source.close();
  });
});
