import { inspect } from "node:util";

import { createPool } from "mysql2/promise";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { bench, load } from "../../../../../../test/harness/number-runs.ts";
import { probeMariadb, startMariadb, type MariadbServer } from "../../../../../../test/harness/servers/mariadb.ts";
import { startProxy } from "../../../../../../test/harness/servers/tcp-proxy.ts";
import { by, sinkContext, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { mysqlTable } from "./table.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const started = isThere ? await startMariadb() : null;
const server = started as MariadbServer;
let tables = 0;
const newTable = (): string => `t${(tables += 1)}`;
const gently = { force: false } as const;

describe.skipIf(!isThere)("mysqlTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  const urlOf = (port = server.port): string => `mariadb://root@127.0.0.1:${port}/memento`;
  const place = (): { table: string; url: string } => ({ table: newTable(), url: urlOf() });

  test("keeps values of every kind exactly, and gives them back after a revert of the revert", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id BIGINT UNSIGNED PRIMARY KEY, exact DECIMAL(40, 10), small FLOAT, big DOUBLE, yes TINYINT(1),
      at TIMESTAMP(3) NULL, wall DATETIME(6), day DATE, span TIME(3), bytes VARBINARY(20), blobs LONGBLOB, doc JSON, kind ENUM('a', 'b''c'),
      latin VARCHAR(20) CHARACTER SET latin1, note TEXT CHARACTER SET utf8mb4, flags BIT(4), \`odd \`\`name?\` VARCHAR(40), twice BIGINT AS (id * 2) STORED) CHARACTER SET utf8mb4`);
    const row = {
      id: 18_446_744_073_709_551_615n,
      exact: "123456789012345678901234567890.0123456789",
      small: 0.1,
      big: 1.7976931348623157e308,
      yes: true,
      at: new Date("2024-02-29T12:34:56.789Z"),
      wall: "2024-02-29 12:34:56.123456",
      day: "2024-02-29",
      span: "-03:04:05.678",
      bytes: new Uint8Array([0, 255, 92, 39]),
      blobs: new Uint8Array(70_000).fill(39),
      doc: { a: [1, { b: "ü\"'\\" }], c: null },
      kind: "b'c",
      latin: "café",
      note: "😀\u0000\n\\'\u001A",
      flags: 10,
      "odd `name?": "it's ? \\ fine",
    };
    const look = async (): Promise<string> => inspect(await server.query(`SELECT * FROM ${table}`), { depth: 5 });
    const columns = Object.fromEntries(Object.keys(row).map((name) => [name, "TEXT"]));
    await withSink(mysqlTable({ table, url, mode: "upsert", columns }), async (sink) => {
      const { mark } = await sink.write([{ ...row, id: 2 }], by("t0"));
      await sink.revertTo(null, by("r0"), gently);
      expect((await sink.inspect(mark)).restore).toBe(1);
      const first = await sink.write([{ ...row, id: 3 }], by("t1"));
      const [found] =
        await server.query(`SELECT id, CAST(exact AS CHAR) AS exact, small, big, yes, CAST(CONVERT_TZ(at, @@session.time_zone, '+00:00') AS CHAR) AS at,
        CAST(wall AS CHAR) AS wall, CAST(day AS CHAR) AS day, CAST(span AS CHAR) AS span, bytes, SHA2(blobs, 256) = SHA2(REPEAT("'", 70000), 256) AS same_blobs, doc, kind,
        latin, HEX(latin) AS latin_bytes, note, flags + 0 AS flags, \`odd \`\`name?\` AS odd FROM ${table}`);
      expect(found).toMatchObject({
        id: 3,
        exact: row.exact,
        small: 0.1,
        big: row.big,
        yes: 1,
        at: "2024-02-29 12:34:56.789",
        wall: row.wall,
        day: row.day,
        span: row.span,
        bytes: Buffer.from([0, 255, 92, 39]),
        same_blobs: 1,
        kind: row.kind,
        latin: row.latin,
        latin_bytes: "636166E9",
        note: row.note,
        flags: 10,
        odd: row["odd `name?"],
      });
      const before = await look();
      await sink.write(
        [
          { id: 3, note: "other" },
          { ...row, id: 4 },
        ],
        by("t2"),
      );
      expect((await sink.inspect(first.mark)).foreignTotal).toBe(0);
      expect(await sink.revertTo(first.mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 1, kept: [] });
      expect(await look()).toBe(before);
      await sink.revertTo(null, by("r2"), gently);
      expect(await look()).toBe("[]");
      await sink.revertTo(first.mark, by("r3"), gently);
      expect(await look()).toBe(before);
    });
  });

  test.each([
    ["a lone surrogate", { id: 1, name: "\uD800" }, "UNSUPPORTED_VALUE", "rows[2].name"],
    ["NaN in JSON", { id: 1, doc: { a: [Number.NaN] } }, "UNSUPPORTED_VALUE", "rows[2].doc"],
    ["bytes in JSON", { id: 1, doc: { a: Buffer.of(1) } }, "UNSUPPORTED_VALUE", "rows[2].doc"],
    ["a number that is none", { id: 1, amount: Number.NaN }, "UNSUPPORTED_VALUE", "rows[2].amount"],
    ["an object", { id: 1, name: { a: 1 } }, "UNSUPPORTED_VALUE", "rows[2].name"],
    ["an unknown column", { id: 1, other: 1 }, "RECORD_INVALID", "rows[2].other"],
    ["a missing key", { name: "x" }, "RECORD_INVALID", "rows[2].id"],
    ["text for a number", { id: "private", name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["a text that is too long", { id: 1, name: "private, and too long" }, "RECORD_INVALID", "rows[2]"],
    ["a broken constraint", { id: 1, name: "no" }, "RECORD_INVALID", "rows[2]"],
    ["a key that is there", { id: 10, name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["another key that is there", { id: 1, name: "private'\\" }, "RECORD_INVALID", "rows[2]"],
    ["text for a date", { id: 1, at: "private'x" }, "RECORD_INVALID", "rows[2]"],
  ])("refuses %s, names the row and shows no value", async (_, bad, code, item) => {
    const { table, url } = place();
    await server.query(
      `CREATE TABLE ${table} (id INT PRIMARY KEY, name VARCHAR(9) UNIQUE, amount DOUBLE, at DATETIME, doc JSON, CONSTRAINT not_no CHECK (name <> 'no'))`,
    );
    await withSink(mysqlTable({ table, url, mode: "append", key: "id" }), async (sink) => {
      const { mark } = await sink.write([{ id: 10, name: "private'\\" }], by("t1"));
      const rows = [{ id: 2, name: "b" }, { id: 3, name: "c" }, bad, { id: 4, name: "d" }];
      const error: unknown = await sink.write(rows, by("t2")).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, details: { item } });
      expect(inspect(error, { depth: 10 })).not.toContain("private");
      expect(await sink.mark()).toEqual(mark);
      expect(await server.query(`SELECT id FROM ${table}`)).toEqual([{ id: 10 }]);
      expect(await sink.write([{ id: 2, name: "b" }], by("t2"))).toMatchObject({ rows: 1, duplicate: false });
    });
  });

  test("upserts never touch a row that another unique index names", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, seat INT NOT NULL UNIQUE)`);
    await withSink(mysqlTable({ table, url, mode: "upsert" }), async (sink) => {
      const first = [
        { id: 1, seat: 1 },
        { id: 2, seat: 2 },
      ];
      const { mark } = await sink.write(first, by("t1"));
      await expect(sink.write([{ id: 3, seat: 1 }], by("t2"))).rejects.toMatchObject({ code: "RECORD_INVALID" });
      expect(await server.query(`SELECT * FROM ${table} ORDER BY id`)).toEqual(first);
      await sink.write([{ id: 1, seat: 3 }], by("t3"));
      await sink.write([{ id: 2, seat: 1 }], by("t4"));
      await sink.write([{ id: 1, seat: 2 }], by("t5"));
      await sink.revertTo(mark, by("r"), gently);
      expect(await server.query(`SELECT * FROM ${table} ORDER BY id`)).toEqual(first);
    });
  });

  test("keeps what was written into an added column, where another unique index lets values change places", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, seat INT NOT NULL UNIQUE)`);
    await withSink(mysqlTable({ table, url, mode: "upsert", columns: { id: "INT", seat: "INT" } }), async (sink) => {
      const first = [
        { id: 1, seat: 1 },
        { id: 2, seat: 2 },
      ];
      const { mark } = await sink.write(first, by("t1"));
      await sink.write([{ id: 1, seat: 3 }], by("t2"));
      await sink.write([{ id: 2, seat: 1 }], by("t3"));
      const { mark: late } = await sink.write([{ id: 3, seat: 2 }], by("t4"));
      await server.query(`ALTER TABLE ${table} ADD COLUMN note VARCHAR(20) DEFAULT 'none'`);
      await server.query(`UPDATE ${table} SET note = 'a colleague''s'`);
      const look = async (): Promise<unknown> => await server.query(`SELECT * FROM ${table} ORDER BY id`);
      const before = await look();
      expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 2, kept: [] });
      expect(await look()).toEqual(first.map((row) => ({ ...row, note: "a colleague's" })));
      await sink.revertTo(late, by("r2"), gently);
      expect(await look()).toEqual(before);
    });
  });

  test("makes the table from columns, with a key of its own, and its books in another database", async () => {
    const { table, url } = place();
    const columns = { name: "VARCHAR(20)", price: "DECIMAL(10, 2)" };
    await withSink(mysqlTable({ table, url, mode: "append", columns, booksDatabase: "apart" }), async (sink) => {
      const { mark } = await sink.write([{ name: "a", price: "1.10" }, { name: "b" }], by("t1"));
      await sink.write([{ name: "c", price: 2 }], by("t2"));
      expect(
        await server.query(`SELECT memento_row, name, CAST(price AS CHAR) AS price FROM ${table} ORDER BY 1`),
      ).toEqual([
        { memento_row: 1, name: "a", price: "1.10" },
        { memento_row: 2, name: "b", price: null },
        { memento_row: 3, name: "c", price: "2.00" },
      ]);
      await server.query(`UPDATE ${table} SET price = 9 WHERE name = 'c'`);
      const { kept } = await sink.revertTo(mark, by("r"), gently);
      expect(kept).toEqual([{ item: `${table}[memento_row=3]`, change: "changed" }]);
      expect(await server.query("SELECT count(*) AS n FROM apart.memento_sink_streams")).toEqual([{ n: 1 }]);
    });
  });

  test("finds the rows of a key of several columns", async () => {
    const { table, url } = place();
    await server.query(
      `CREATE TABLE ${table} (a INT, b VARCHAR(10), c INT, PRIMARY KEY (a, b)) COLLATE utf8mb4_general_ci`,
    );
    await withSink(mysqlTable({ table, url, mode: "append" }), async (sink) => {
      const { mark } = await sink.write(
        [
          { a: 1, b: "x", c: 1 },
          { a: 1, b: "y", c: 2 },
        ],
        by("t1"),
      );
      await sink.write([{ a: 2, b: "X", c: 3 }], by("t2"));
      await server.query(`UPDATE ${table} SET c = 9 WHERE b = 'y'`);
      expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 1, kept: [] });
      const { kept } = await sink.revertTo(null, by("r2"), gently);
      expect(kept).toEqual([{ item: `${table}[a=1, b="y"]`, change: "changed" }]);
    });
  });

  test("leaves a number beside the key to the server, and gives it back with its row", async () => {
    const { table, url } = place();
    await server.query(
      `CREATE TABLE ${table} (n BIGINT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(9) NOT NULL UNIQUE, a INT)`,
    );
    await withSink(mysqlTable({ table, url, mode: "upsert", key: "id" }), async (sink) => {
      const { mark } = await sink.write(
        [
          { id: "x", a: 1 },
          { id: "y", a: 1 },
        ],
        by("t1"),
      );
      const before = await server.query(`SELECT n, id, a FROM ${table} ORDER BY n`);
      expect(before).toEqual([
        { n: 1, id: "x", a: 1 },
        { n: 2, id: "y", a: 1 },
      ]);
      await sink.revertTo(null, by("r1"), gently);
      await sink.write([{ id: "x", a: 2 }], by("t2"));
      expect(await sink.revertTo(mark, by("r2"), gently)).toMatchObject({ removed: 0, restored: 2 });
      expect(await server.query(`SELECT n, id, a FROM ${table} ORDER BY n`)).toEqual(before);
    });
  });

  test("writes once though the answer to its commit is lost, and is found by its token", async () => {
    const { table } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY)`);
    await using proxy = await startProxy(server.port);
    await withSink(mysqlTable({ table, url: urlOf(proxy.port), mode: "append", key: "id" }), async (sink) => {
      let cuts = 0;
      proxy.passage = {
        toServer: (bytes) => {
          if (bytes.includes("COMMIT") && cuts === 0) cuts = 1;
          return true;
        },
        toClient: (_, connection) => {
          if (cuts !== 1) return true;
          cuts = 2;
          connection.cut();
          return false;
        },
      };
      expect(await sink.write([{ id: 1 }, { id: 2 }], by("t1"))).toMatchObject({ rows: 2, duplicate: false });
      expect(cuts).toBe(2);
      expect(await server.query(`SELECT id FROM ${table} ORDER BY id`)).toEqual([{ id: 1 }, { id: 2 }]);
      expect(await sink.write([{ id: 1 }, { id: 2 }], by("t1"))).toMatchObject({ rows: 0, duplicate: true });
    });
  });

  test("is LOCKED while a transaction holds its timeline, until the server ends one that stands still", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY)`);
    await withSink(mysqlTable({ table, url, mode: "append", key: "id", lockTimeoutMs: 1_000 }), async (sink) => {
      await sink.write([{ id: 1 }], by("t1"));
      const other = await server.connect();
      await other.query("START TRANSACTION; SELECT 1 FROM memento_sink_streams FOR UPDATE");
      await expect(sink.write([{ id: 2 }], by("t2"))).rejects.toMatchObject({ code: "LOCKED", retryable: true });
      await other.query("SET SESSION wait_timeout = 1");
      await expect
        .poll(
          async () =>
            await sink.write([{ id: 2 }], by("t2")).then(
              ({ rows }) => rows,
              () => -1,
            ),
          { timeout: 60_000 },
        )
        .toBe(1);
      await Promise.resolve(other[Symbol.asyncDispose]()).catch(() => undefined);
    });
  });

  test("shows no password, whatever goes wrong, and leaves the settings of a pool as they were", async () => {
    const url = urlOf().replace("root@", "root:hunter2secret@");
    const denied = mysqlTable({ url, table: "none", mode: "append" });
    const errors: unknown[] = [await denied.open(sinkContext).catch((error: unknown) => error)];
    expect(errors).toMatchObject([{ code: "ACCESS_DENIED" }]);
    expect(inspect([errors, denied.describe()], { depth: 10 })).not.toContain("hunter2secret");
    const { table } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY)`);
    const pool = createPool({
      host: "127.0.0.1",
      port: server.port,
      user: "root",
      database: "memento",
      connectionLimit: 1,
    });
    const settings = "SELECT @@time_zone, @@sql_mode, @@innodb_lock_wait_timeout, @@wait_timeout";
    const [before] = await pool.query(settings);
    await withSink(mysqlTable({ table, pool, mode: "append" }), async (sink) => await sink.write([{ id: 1 }], by("t")));
    expect((await pool.query(settings))[0]).toEqual(before);
    await pool.end();
  });

  test("makes no table whose name has a dot, and uses one that is there", async () => {
    const { table, url } = place();
    const options = {
      table: `memento.${table}`,
      url,
      mode: "upsert",
      columns: { id: "INT", v: "INT" },
      key: "id",
    } as const;
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, v INT)`);
    await expect(mysqlTable(options).open(sinkContext)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("the name alone") as string,
    });
    await server.query(`CREATE TABLE \`memento.${table}\` (id INT PRIMARY KEY, v INT)`);
    await withSink(mysqlTable(options), async (sink) => await sink.write([{ id: 1, v: 1 }], by("t")));
    expect(await server.query(`SELECT * FROM ${table}`)).toEqual([]);
  });

  test.each([
    ["no key", "id INT", { mode: "append" }, "no primary key"],
    ["a key that may be NULL", "id INT UNIQUE", { mode: "upsert", key: "id" }, "no unique index on id"],
    ["a key that is not there", "id INT PRIMARY KEY", { mode: "upsert", key: "other" }, "no column other"],
  ] as const)("refuses %s", async (_, declared, options, message) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (${declared})`);
    await expect(mysqlTable({ table, url, ...options }).open(sinkContext)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message) as string,
    });
  });

  test("refuses a table that has no transactions", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY) ENGINE=MyISAM`);
    const sink = mysqlTable({ table, url, mode: "append" });
    await expect(sink.open(sinkContext)).rejects.toMatchObject({ code: "ENGINE_UNSUITABLE" });
  });

  test("a run does not go on where its table was dropped or renamed, and nobody makes one in its place but by force", async () => {
    const { table, url } = place();
    const { memento } = await bench();
    let broken = true;
    const before = (n: number): void => {
      if (broken && n === 55) throw new Error("the power is gone");
    };
    const into = load(() => mysqlTable({ table, url, mode: "append", columns: { n: "INT" } }), { before });
    const count = async (): Promise<number> =>
      Number((await server.query(`SELECT count(*) AS n FROM ${table}`))[0]?.["n"]);
    await expect(memento.run(into)).rejects.toMatchObject({ code: "STAGE_FAILED" });
    broken = false;
    const written = await count();
    await server.query(`RENAME TABLE ${table} TO ${table}_away`);
    await expect(memento.run(into)).rejects.toMatchObject({ code: "SINK_MOVED" });
    const plan = await memento.plan(into, "start");
    expect(plan.sinks).toMatchObject([{ verdict: "unchanged" }, { verdict: "elsewhere" }]);
    await server.query(`RENAME TABLE ${table}_away TO ${table}`);
    expect(await count()).toBe(written);
    expect(await memento.run(into)).toMatchObject({ status: "completed", resumed: true });
    expect(await count()).toBe(95);
  });
});
