import { inspect } from "node:util";

import { Pool } from "pg";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../../../../../../test/harness/servers/postgres.ts";
import { startProxy } from "../../../../../../test/harness/servers/tcp-proxy.ts";
import { by, sinkContext, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { postgresTable } from "./table.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const started = isThere ? await startPostgres() : null;
const server = started as PostgresServer;
let tables = 0;
const newTable = (): string => `t${(tables += 1)}`;
const gently = { force: false } as const;

describe.skipIf(!isThere)("postgresTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  const place = (): { table: string; url: string } => ({ table: newTable(), url: server.url("public") });

  test("keeps values of every kind exactly, and gives them back after a revert of the revert", async () => {
    const { table, url } = place();
    await server.query(`CREATE DOMAIN ${table}_code AS text NOT NULL CHECK (value <> '')`);
    await server.query(`CREATE TABLE ${table} (id bigint PRIMARY KEY, exact numeric(30, 10), any_number numeric, small real, big double precision,
      yes boolean, at timestamptz, wall timestamp, day date, span interval, bytes bytea, doc jsonb, raw json, names text[], grid int[],
      docs jsonb[], code ${table}_code, padded char(5), flags bit(4), u uuid, "odd ""name?" text, twice bigint GENERATED ALWAYS AS (id * 2) STORED)`);
    const row = {
      id: 9_007_199_254_740_993n,
      exact: "12345678901234567890.0123456789",
      any_number: "NaN",
      small: 0.1,
      big: -0,
      yes: true,
      at: new Date("2024-02-29T12:34:56.789Z"),
      wall: "2024-02-29 12:34:56.123456",
      day: new Date("2024-02-29T00:00:00Z"),
      span: "1 mon 2 days 03:04:05.678",
      bytes: new Uint8Array([0, 255, 92, 39]),
      doc: { a: [1, { b: "ü\"'\\" }], c: null },
      raw: ["x", 1e300, 2n ** 64n],
      names: ['a"b', "c\\d,e", null, "{}", ""],
      grid: [
        [1, 2],
        [3, 4],
      ],
      docs: [{ a: 1 }, "text"],
      code: "x",
      padded: "ab",
      flags: "1010",
      u: "0b0e2f6e-5d2a-4c8e-9a39-111111111111",
      'odd "name?': "it's ? \\ fine",
    };
    const look = async (): Promise<string> =>
      inspect((await server.query(`SELECT t::text AS row FROM ${table} AS t`)).map((found) => found["row"]));
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const { mark } = await sink.write([row], by("t1"));
      const [found] =
        await server.query(`SELECT id::text, exact::text, any_number::text, small::text, big::text, bytes, doc, raw::text, names, grid, docs, padded, flags::text,
        wall::text, span::text, at AT TIME ZONE 'UTC' = '2024-02-29 12:34:56.789' AS same_time, day::text, "odd ""name?" AS odd, twice::text FROM ${table}`);
      expect(found).toEqual({
        id: "9007199254740993",
        exact: "12345678901234567890.0123456789",
        any_number: "NaN",
        small: "0.1",
        big: "-0",
        bytes: Buffer.from([0, 255, 92, 39]),
        doc: row.doc,
        raw: '["x",1e+300,18446744073709551616]',
        names: row.names,
        grid: row.grid,
        docs: row.docs,
        padded: "ab   ",
        flags: "1010",
        wall: row.wall,
        span: "1 mon 2 days 03:04:05.678",
        same_time: true,
        day: "2024-02-29",
        odd: "it's ? \\ fine",
        twice: "18014398509481986",
      });
      const before = await look();
      await sink.write(
        [
          { id: row.id, code: "other" },
          { ...row, id: 1 },
        ],
        by("t2"),
      );
      expect((await sink.inspect(mark)).foreignTotal).toBe(0);
      expect(await sink.revertTo(mark, by("r1"), gently)).toMatchObject({ removed: 1, restored: 1, kept: [] });
      expect(await look()).toBe(before);
      const back = await sink.revertTo(null, by("r2"), gently);
      expect(await look()).toBe("[]");
      expect(back.removed).toBe(1);
      await sink.revertTo(mark, by("r3"), gently);
      expect(await look()).toBe(before);
    });
  });

  test("takes a column that is named like what every object has for missing where a row lacks it", async () => {
    const { table, url } = place();
    const columns = { id: "int", constructor: "text" };
    await withSink(postgresTable({ table, url, mode: "upsert", columns, key: "id" }), async (sink) => {
      await sink.write([{ id: 1 }, { id: 2, constructor: "x" }], by("t1"));
      expect(await server.query(`SELECT constructor AS c FROM ${table} ORDER BY id`)).toEqual([
        { c: null },
        { c: "x" },
      ]);
    });
  });

  test.each([
    ["a lone surrogate", { id: 1, name: "\uD800" }, "UNSUPPORTED_VALUE", "rows[2].name"],
    ["NaN in JSON", { id: 1, doc: { a: [Number.NaN] } }, "UNSUPPORTED_VALUE", "rows[2].doc"],
    ["bytes in JSON", { id: 1, doc: { a: Buffer.of(1) } }, "UNSUPPORTED_VALUE", "rows[2].doc"],
    ["U+0000", { id: 1, name: "a\u0000b" }, "UNSUPPORTED_VALUE", "rows[2].name"],
    ["an object", { id: 1, name: { a: 1 } }, "UNSUPPORTED_VALUE", "rows[2].name"],
    ["an unknown column", { id: 1, other: 1 }, "RECORD_INVALID", "rows[2].other"],
    ["a missing key", { name: "x" }, "RECORD_INVALID", "rows[2].id"],
    ["text for a number", { id: "private", name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["text with quotes for a number", { id: 'private"x', name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["a number that is too large", { id: "4111111111111111", name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["an unknown zone", { id: 1, at: "2026-01-01 00:00 Private/Zone" }, "RECORD_INVALID", "rows[2]"],
    ["a fraction for a whole number", { id: 1.5, name: "x" }, "RECORD_INVALID", "rows[2]"],
    ["a text that is too long", { id: 1, name: "private, and too long" }, "RECORD_INVALID", "rows[2]"],
    ["a broken constraint", { id: 1, name: "no" }, "RECORD_INVALID", "rows[2]"],
    ["a key that is there", { id: 10, name: "x" }, "RECORD_INVALID", "rows[2]"],
  ])("refuses %s, names the row and shows no value", async (_, bad, code, item) => {
    const { table, url } = place();
    await server.query(
      `CREATE TABLE ${table} (id int PRIMARY KEY, name varchar(7), at timestamptz, doc jsonb, CONSTRAINT not_no CHECK (name <> 'no'))`,
    );
    await withSink(postgresTable({ table, url, mode: "append", key: "id" }), async (sink) => {
      const { mark } = await sink.write([{ id: 10, name: "first" }], by("t1"));
      const rows = [{ id: 2, name: "b" }, { id: 3, name: "c" }, bad, { id: 4, name: "d" }];
      const error: unknown = await sink.write(rows, by("t2")).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, details: { item } });
      expect(inspect(error, { depth: 10 })).not.toMatch(/private|41111/u);
      expect(await sink.mark()).toEqual(mark);
      expect(await server.query(`SELECT id FROM ${table}`)).toEqual([{ id: 10 }]);
      expect(await sink.write([{ id: 2, name: "b" }], by("t2"))).toMatchObject({ rows: 1, duplicate: false });
    });
  });

  test("makes the table from columns, with a key of its own, and its books in another schema", async () => {
    const { table, url } = place();
    const columns = { name: "text", price: "numeric(10, 2)" };
    await withSink(postgresTable({ table, url, mode: "append", columns, booksSchema: "apart" }), async (sink) => {
      const { mark } = await sink.write([{ name: "a", price: "1.10" }, { name: "b" }], by("t1"));
      await sink.write([{ name: "c", price: 2 }], by("t2"));
      expect(await server.query(`SELECT * FROM ${table} ORDER BY 1`)).toEqual([
        { memento_row: "1", name: "a", price: "1.10" },
        { memento_row: "2", name: "b", price: null },
        { memento_row: "3", name: "c", price: "2.00" },
      ]);
      await server.query(`UPDATE ${table} SET price = 9 WHERE name = 'c'`);
      const { kept } = await sink.revertTo(mark, by("r"), gently);
      expect(kept).toEqual([{ item: `${table}[memento_row=3]`, change: "changed" }]);
      expect(await server.query("SELECT count(*)::int AS n FROM apart.memento_sink_streams")).toEqual([{ n: 1 }]);
    });
  });

  test("sees what triggers make of a row as its own doing", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, note text, later text);
      CREATE FUNCTION ${table}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE ${table} SET later = note || '!' WHERE id = NEW.id; RETURN NULL; END $$;
      CREATE TRIGGER after_it AFTER INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}_f();`);
    await withSink(
      postgresTable({ table, url, mode: "upsert", columns: { id: "int", note: "text" } }),
      async (sink) => {
        await sink.write([{ id: 1, note: "a" }], by("t1"));
        expect(await server.query(`SELECT * FROM ${table}`)).toEqual([{ id: 1, note: "a", later: "a!" }]);
        expect(await sink.inspect(null)).toMatchObject({ remove: 1, foreignTotal: 0 });
      },
    );
  });

  test("puts back rows whose values of another unique index changed places", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, seat int NOT NULL UNIQUE)`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const { mark } = await sink.write(
        [
          { id: 1, seat: 1 },
          { id: 2, seat: 2 },
        ],
        by("t1"),
      );
      await sink.write([{ id: 1, seat: 3 }], by("t2"));
      await sink.write([{ id: 2, seat: 1 }], by("t3"));
      await sink.write([{ id: 1, seat: 2 }], by("t4"));
      await sink.revertTo(mark, by("r"), gently);
      expect(await server.query(`SELECT * FROM ${table} ORDER BY id`)).toEqual([
        { id: 1, seat: 1 },
        { id: 2, seat: 2 },
      ]);
    });
  });

  test("keeps what was written into an added column, where another unique index lets values change places", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id INT PRIMARY KEY, seat INT NOT NULL UNIQUE)`);
    await withSink(postgresTable({ table, url, mode: "upsert", columns: { id: "INT", seat: "INT" } }), async (sink) => {
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

  test("goes on with a table that got a column, and refuses to put back what a lost one held", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, a int)`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      await sink.write([{ id: 1, a: 1 }], by("t1"));
      const { mark } = await sink.write([{ id: 1, a: 2 }], by("t2"));
      await server.query(`ALTER TABLE ${table} ADD COLUMN b text DEFAULT 'x'`);
      const late = await sink.write([{ id: 1, a: 3, b: "y" }], by("t3"));
      await sink.revertTo(mark, by("r1"), gently);
      expect(await server.query(`SELECT * FROM ${table}`)).toEqual([{ id: 1, a: 2, b: "x" }]);
      await sink.revertTo(late.mark, by("r2"), gently);
      await server.query(`ALTER TABLE ${table} DROP COLUMN b`);
      const reverted = sink.revertTo(mark, by("r3"), { force: true });
      await expect(reverted).rejects.toMatchObject({ code: "NOT_REVERTIBLE", details: { columns: ["b"] } });
    });
  });

  test("leaves a number beside the key to the server, and gives it back with its row", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (n bigserial PRIMARY KEY, id text NOT NULL UNIQUE, a int)`);
    await withSink(postgresTable({ table, url, mode: "upsert", key: "id" }), async (sink) => {
      const { mark } = await sink.write(
        [
          { id: "x", a: 1 },
          { id: "y", a: 1 },
        ],
        by("t1"),
      );
      const before = await server.query(`SELECT n::int AS n, id, a FROM ${table} ORDER BY n`);
      expect(before).toEqual([
        { n: 1, id: "x", a: 1 },
        { n: 2, id: "y", a: 1 },
      ]);
      await sink.revertTo(null, by("r1"), gently);
      await sink.write([{ id: "x", a: 2 }], by("t2"));
      expect(await sink.revertTo(mark, by("r2"), gently)).toMatchObject({ removed: 0, restored: 2 });
      expect(await server.query(`SELECT n::int AS n, id, a FROM ${table} ORDER BY n`)).toEqual(before);
    });
  });

  test("writes once though the answer to its commit is lost, and is found by its token", async () => {
    const { table } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
    await using proxy = await startProxy(server.port);
    const url = server.url("public", proxy.port);
    await withSink(postgresTable({ table, url, mode: "append", key: "id" }), async (sink) => {
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

  test("writes once though its connection is cut in the middle of a write", async () => {
    const { table } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
    await using proxy = await startProxy(server.port);
    await withSink(
      postgresTable({ table, url: server.url("public", proxy.port), mode: "append", key: "id" }),
      async (sink) => {
        let isCut = false;
        proxy.passage = {
          toServer: (bytes, connection) => {
            if (isCut || !bytes.includes("row_number")) return true;
            isCut = true;
            connection.cut();
            return false;
          },
        };
        expect(await sink.write([{ id: 1 }], by("t1"))).toMatchObject({ rows: 1, duplicate: false });
        expect(isCut).toBe(true);
        expect(await server.query(`SELECT id FROM ${table}`)).toEqual([{ id: 1 }]);
      },
    );
  });

  test("is LOCKED while a transaction holds its timeline, until the server ends one that stands still", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
    const sink = postgresTable({ table, url, mode: "append", key: "id", lockTimeoutMs: 100 });
    await withSink(sink, async () => {
      await sink.write([{ id: 1 }], by("t1"));
      await using other = await server.connect();
      await other.query("BEGIN; SELECT 1 FROM memento_sink_streams FOR UPDATE");
      await expect(sink.write([{ id: 2 }], by("t2"))).rejects.toMatchObject({ code: "LOCKED", retryable: true });
      await other.query("SET LOCAL idle_in_transaction_session_timeout = 500");
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
    });
  });

  test("shows no password, whatever goes wrong", async () => {
    const url = server.url("public").replace("postgres@", "postgres:hunter2secret@");
    const sink = postgresTable({ url, table: "none", mode: "append" });
    const errors: unknown[] = [await sink.open(sinkContext).catch((error: unknown) => error)];
    const absent = postgresTable({ url: url.replace(/:\d+\//u, ":1/"), table: "none", mode: "append" });
    errors.push(
      await absent
        .open({ ...sinkContext, clock: { ...sinkContext.clock, sleep: async () => undefined } })
        .catch((error: unknown) => error),
    );
    expect(errors).toMatchObject([{ code: "INVALID_ARGUMENT" }, { code: "STORE_UNREACHABLE" }]);
    expect(inspect([errors, sink.describe(), absent.describe()], { depth: 10 })).not.toContain("hunter2secret");
  });

  test("takes a pool, and leaves it open", async () => {
    const { table } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY)`);
    const pool = new Pool({ host: "127.0.0.1", port: server.port, user: "postgres", database: "postgres" });
    pool.on("error", () => undefined);
    await withSink(
      postgresTable({ table, pool, mode: "append" }),
      async (sink) => await sink.write([{ id: 1 }], by("t")),
    );
    expect((await pool.query(`SELECT id FROM ${table}`)).rows).toEqual([{ id: 1 }]);
    await pool.end();
  });
});
