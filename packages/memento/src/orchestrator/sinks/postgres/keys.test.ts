import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../../../../../../test/harness/servers/postgres.ts";
import { by, withSink } from "../../../../../../test/workers/sql-sinks.ts";
import { postgresTable } from "./table.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const started = isThere ? await startPostgres() : null;
const server = started as PostgresServer;
let tables = 0;
const gently = { force: false } as const;

describe.skipIf(!isThere)("the key of a row of postgresTable()", () => {
  afterAll(async () => await started?.[Symbol.asyncDispose]());

  const place = (): { table: string; url: string } => ({ table: `t${(tables += 1)}`, url: server.url("public") });
  beforeAll(async () => {
    await server.query(`CREATE DOMAIN cents AS numeric(9, 2);
      CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
  });
  const at = new Date("2026-01-01T00:00:00.700Z");

  test.each([
    ["a moment without its fraction", "timestamptz(0)", at, "2026-01-01T00:00:01.2Z", "2026-01-01 00:00:01"],
    [
      "a moment of milliseconds",
      "timestamp(3)",
      "2026-01-01 00:00:00.1234",
      "2026-01-01 00:00:00.1231",
      "2026-01-01 00:00:00.123",
    ],
    ["a time without its fraction", "time(0)", "10:00:00.6", "10:00:01", "10:00:01"],
    ["a span without its fraction", "interval(0)", "1.4 s", "1 s", "00:00:01"],
    ["a decimal that is rounded", "numeric(9, 2)", "1.005", "1.011", "1.01"],
    ["a text with blanks behind", "varchar(3)", "abc  ", "abc", "abc"],
    ["a text that is filled up", "char(5)", "ab", "ab   ", "ab"],
    ["a domain", "cents", "1.005", "1.011", "1.01"],
    ["a float", "real", 0.1, "0.10", "0.1"],
    ["a text in any case", "text COLLATE any_case", "Ab", "aB", "aB"],
  ] as const)("is known as it is stored: %s", async (_, type, id, alike, stored) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id ${type} PRIMARY KEY, v int)`);
    const shown = type === "timestamptz(0)" ? "(id AT TIME ZONE 'UTC')::text" : "id::text";
    const look = async (): Promise<unknown> => await server.query(`SELECT ${shown} AS id, v FROM ${table}`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const { mark } = await sink.write(
        [
          { id, v: 1 },
          { id: alike, v: 2 },
        ],
        by("t1"),
      );
      const written = await look();
      expect(written).toEqual([{ id: stored, v: 2 }]);
      await sink.write([{ id, v: 3 }], by("t2"));
      expect(await look()).toEqual([{ id: stored, v: 3 }]);
      expect(await sink.inspect(mark)).toMatchObject({ remove: 0, restore: 1, foreignTotal: 0 });
      await sink.revertTo(mark, by("r1"), gently);
      expect(await look()).toEqual(written);
      await sink.revertTo(null, by("r2"), gently);
      expect(await look()).toEqual([]);
    });
  });

  test("that is too long is refused, and not cut off", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id varchar(3) PRIMARY KEY, flags bit(3))`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const refused = { code: "RECORD_INVALID", details: { item: "rows[1]" } };
      for (const bad of [{ id: "abcd" }, { id: "b", flags: "1011" }])
        await expect(sink.write([{ id: "a" }, bad], by("t1"))).rejects.toMatchObject(refused);
      expect(await server.query(`SELECT id FROM ${table}`)).toEqual([]);
    });
  });

  test("that a trigger changes is refused", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id text PRIMARY KEY, v int); INSERT INTO ${table} VALUES ('C', 0);
      CREATE FUNCTION ${table}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := lower(NEW.id); RETURN NEW; END $$;
      CREATE TRIGGER low BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}_f()`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const refused = { code: "RECORD_INVALID", details: { item: "rows[1]" } };
      const [low, high] = [
        { id: "a", v: 1 },
        { id: "A", v: 2 },
      ];
      await expect(sink.write([{ id: "b" }, high], by("t1"))).rejects.toMatchObject(refused);
      await expect(sink.write([low, high], by("t1"))).rejects.toMatchObject(refused);
      await expect(sink.write([low, { id: "C", v: 2 }], by("t1"))).rejects.toMatchObject(refused);
      await sink.write([low], by("t1"));
      await expect(sink.write([{ id: "b" }, high], by("t2"))).rejects.toMatchObject(refused);
      expect(await server.query(`SELECT * FROM ${table} ORDER BY v`)).toEqual([{ id: "C", v: 0 }, low]);
    });
  });

  test("that a trigger leaves out is left out, whether its row is there or not", async () => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, v int); CREATE TABLE ${table}_out (id int);
      CREATE FUNCTION ${table}_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.v < 9 THEN RETURN NEW; END IF; INSERT INTO ${table}_out VALUES (NEW.id); RETURN NULL; END $$;
      CREATE TRIGGER out_of_it BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION ${table}_f();
      CREATE TRIGGER same BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`);
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const rows = [
        { id: 1, v: 1 },
        { id: 2, v: 9 },
      ];
      await sink.write(rows, by("t1"));
      await sink.write([...rows, { id: 3, v: 1 }], by("t2"));
      expect(await server.query(`SELECT * FROM ${table} ORDER BY id`)).toEqual([rows[0], { id: 3, v: 1 }]);
      expect(await server.query(`SELECT * FROM ${table}_out`)).toEqual([{ id: 2 }, { id: 2 }]);
      expect(await sink.revertTo(null, by("r1"), gently)).toMatchObject({ removed: 2, kept: [] });
    });
  });

  test.each([false, true])("that a large batch has twice is that of one row, with triggers: %s", async (triggers) => {
    const { table, url } = place();
    await server.query(`CREATE TABLE ${table} (id int PRIMARY KEY, v int)`);
    if (triggers)
      await server.query(
        `CREATE TRIGGER same BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
      );
    await withSink(postgresTable({ table, url, mode: "upsert" }), async (sink) => {
      const { mark } = await sink.write([{ id: 1, v: 0 }], by("t1"));
      const rows = Array.from({ length: 9_000 }, (_, index) => ({ id: index % 8_800, v: index + 1 }));
      await sink.write(rows, by("t2"));
      await sink.write([{ id: 1, v: -1 }], by("t3"));
      expect(await sink.inspect(mark)).toMatchObject({ remove: 8_799, restore: 1, foreignTotal: 0 });
      await sink.revertTo(mark, by("r1"), gently);
      expect(await server.query(`SELECT id, v FROM ${table}`)).toEqual([{ id: 1, v: 0 }]);
    });
  });
});
