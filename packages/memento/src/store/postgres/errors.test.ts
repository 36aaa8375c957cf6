import { writeFileSync } from "node:fs";
import path from "node:path";

import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import { declareErrorTests, expectFailure, SECRET } from "../../../../../test/harness/sql-error-tests.ts";
import { makeStore, newPlace, type SqlEngineUnderTest } from "../../../../../test/harness/sql-store-tests.ts";
import { readServer } from "./schema.ts";
import { PostgresStore } from "./store.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;

const engine: SqlEngineUnderTest = {
  server: () => {
    if (server === null) throw new Error("there is no PostgreSQL");
    return server;
  },
  open: async (url) => await PostgresStore.openUrl(url),
  table: (place, name) => `"${place}".${name}`,
  numberCommit: () => [],
  waiting: "",
};

const accountUrl = (place: string, password: string): string =>
  `postgres://locked:${encodeURIComponent(password)}@127.0.0.1:${engine.server().port}/postgres?schema=${place}`;

/** Whether the account is let in with this password. */
async function isLetIn(password: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: accountUrl("any", password).replace(/\?.*$/u, "") });
  try {
    await client.connect();
    return true;
  } catch (error) {
    // The password is wrong.
    if (error instanceof pg.DatabaseError && error.code === "28P01") return false;
    throw error;
  } finally {
    await client.end();
  }
}

describe.skipIf(!isThere)("PostgresStore", () => {
  beforeAll(async () => {
    const { folder, query } = engine.server();
    await query(`CREATE ROLE locked LOGIN PASSWORD '${SECRET}'`);
    await query("CREATE ROLE reader LOGIN");
    const rules = ["host all locked 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 trust"];
    writeFileSync(path.join(folder, "data", "pg_hba.conf"), `${rules.join("\n")}\n`);
    await query("SELECT pg_reload_conf()");
    // The server reads its rules again in its own time.
    while (await isLetIn("wrong-secret")) await new Promise((resolve) => void setTimeout(resolve, 20));
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  declareErrorTests(engine, {
    scheme: "postgres",
    accountUrl,
    readOnlyUrl: async (place) => {
      await engine.server().query(`GRANT USAGE ON SCHEMA "${place}" TO reader`);
      await engine.server().query(`GRANT SELECT ON ALL TABLES IN SCHEMA "${place}" TO reader`);
      return engine.server().url(place).replace("postgres@", "reader@");
    },
    openImpatiently: async (url) =>
      await PostgresStore.open({ url, lockTimeoutMs: 500, statementTimeoutMs: 8_000, connectTimeoutMs: 8_000 }),
    lockTimelines: (place) => ["BEGIN", `SELECT 1 FROM "${place}".timeline FOR UPDATE`],
    setVersion: (place, version) => `UPDATE "${place}".migration SET version = ${version}`,
  });

  test("a server that takes no writes, as a standby, is told apart from an account without rights", async () => {
    await engine.server().query("CREATE ROLE still SUPERUSER LOGIN");
    await engine.server().query("ALTER ROLE still SET default_transaction_read_only = on");
    const { store, make, url } = await makeStore(engine);
    await using _ = store;
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(store);
    await using standby = await engine.open(url.replace("postgres@", "still@"));
    expect((await standby.read(id))?.slot).toBe(0);
    const { message, hint } = await expectFailure("ACCESS_DENIED", () =>
      standby.append(make.batch([timeline.record()])),
    );
    expect(message).toContain("read-only");
    expect(hint).toContain("name the primary");
  });

  test("an account that may make no schema is refused with ACCESS_DENIED", async () => {
    const { make, store } = await makeStore(engine);
    await store.close();
    await using locked = await engine.open(accountUrl(newPlace(), SECRET));
    await expectFailure("ACCESS_DENIED", () => locked.create(make.meta(), make.key("integrity")));
  });

  test("another program's schema is refused with NOT_A_STORE", async () => {
    const place = newPlace();
    await engine.server().query(`CREATE SCHEMA "${place}"`);
    await engine.server().query(`CREATE TABLE "${place}".memento (id integer)`);
    await using store = await engine.open(engine.server().url(place));
    await expectFailure("NOT_A_STORE", () => store.meta());
  });

  test("a pool that is handed in stays open", async () => {
    const pool = new pg.Pool({ host: "127.0.0.1", port: engine.server().port, user: "postgres", database: "postgres" });
    const store = await PostgresStore.open({ pool, schema: newPlace() });
    expect(await store.meta()).toBeNull();
    expect(store.url).toMatch(/^postgres:\/\/127\.0\.0\.1:[0-9]+\/postgres\?schema=/u);
    await store.close();
    expect((await pool.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await pool.end();
  });

  test("a server that does not wait for its disk is not durable, and one that is too old is refused", async () => {
    await using lazy = await startPostgres(["fsync=off"]);
    await using store = await PostgresStore.openUrl(lazy.url("lazy"));
    expect(store.supports.durable).toBe(false);
    const answers = { rows: [{ number: "120022", version: "12.22", fsync: "on" }] };
    const old = { query: async () => answers } as unknown as pg.Client;
    await expectFailure("ENGINE_UNSUITABLE", () => readServer(old, "postgres://h"));
  });

  test("commits are waited for although the account's sessions do not", async () => {
    const { make, place, url, store: first } = await makeStore(engine);
    await using _ = first;
    const { query } = engine.server();
    await query(`CREATE TABLE "${place}".seen (setting text)`);
    await query(`CREATE FUNCTION "${place}".look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO "${place}".seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$`);
    await query(`CREATE TRIGGER look BEFORE INSERT ON "${place}".commit_log FOR EACH ROW
      EXECUTE FUNCTION "${place}".look()`);
    for (const table of ["timeline", "wrapped_key"])
      await query(`CREATE CONSTRAINT TRIGGER look AFTER INSERT OR UPDATE ON "${place}".${table} DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION "${place}".look()`);
    await query("ALTER ROLE postgres SET synchronous_commit = off");
    try {
      await using store = await engine.open(url);
      const [one, two] = [await make.timeline(store), await make.timeline(store)];
      expect(await store.acquireLease({ timeline: one.key, lease: make.lease(one.epoch + 1) })).toBe(true);
      one.epoch += 1;
      await store.requestOf(one.key, "pause");
      expect(await store.releaseLease({ timeline: two.key, lease: make.lease(two.epoch, null) }, "owner-1")).toBe(true);
      await one.save(store);
      await one.save(store, { name: "gold" });
      await store.append(make.batch([one.next(), two.next()]));
      await store.note(make.notice("restored"));
    } finally {
      await query("ALTER ROLE postgres RESET synchronous_commit");
    }
    expect(await query(`SELECT DISTINCT setting FROM "${place}".seen`)).toEqual([{ setting: "on" }]);
    expect(await query(`SELECT count(*) >= 9 AS all FROM "${place}".seen`)).toEqual([{ all: true }]);
  });
});
