import { createPool, type Connection } from "mysql2/promise";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../test/harness/servers/mariadb.ts";
import { declareErrorTests, expectFailure, SECRET } from "../../../../../test/harness/sql-error-tests.ts";
import { makeStore, newPlace, type SqlEngineUnderTest } from "../../../../../test/harness/sql-store-tests.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { readServer } from "./schema.ts";
import { MysqlStore } from "./store.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const server = isThere ? await startMariadb() : null;

const engine: SqlEngineUnderTest = {
  server: () => {
    if (server === null) throw new Error("there is no MariaDB");
    return server;
  },
  open: async (url) => await MysqlStore.openUrl(url),
  table: (place, name) => `${place}${name}`,
  numberCommit: () => [],
  waiting: "",
};

const accountUrl = (place: string, password: string): string =>
  `mysql://locked:${encodeURIComponent(password)}@127.0.0.1:${engine.server().port}/memento?prefix=${place}`;

/** A server's answers about itself. */
function answering(version: string, variables: Readonly<Record<string, string>>): Connection {
  const rows = Object.entries(variables).map(([name, value]) => ({ Variable_name: name, Value: value }));
  const query = async (sql: string): Promise<unknown> => [sql.startsWith("SHOW") ? rows : [{ version }]];
  return { query } as unknown as Connection;
}

describe.skipIf(!isThere)("MysqlStore on MariaDB", () => {
  beforeAll(async () => {
    const { query } = engine.server();
    await query(`CREATE USER locked@'127.0.0.1' IDENTIFIED BY '${SECRET}'`);
    await query("GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON memento.* TO locked@'127.0.0.1'");
    await query("CREATE USER reader@'127.0.0.1'");
    await query("GRANT SELECT, EXECUTE ON memento.* TO reader@'127.0.0.1'");
  });
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  declareErrorTests(engine, {
    scheme: "mysql",
    accountUrl,
    readOnlyUrl: async (place) => engine.server().url(place).replace("root@", "reader@"),
    openImpatiently: async (url) =>
      await MysqlStore.open({ url, lockTimeoutMs: 1_000, statementTimeoutMs: 8_000, connectTimeoutMs: 8_000 }),
    lockTimelines: (place) => ["START TRANSACTION", `SELECT timeline FROM ${place}timeline FOR UPDATE`],
    setVersion: (place, version) => `UPDATE ${place}migration SET version = ${version}`,
  });

  test("an account that may make no procedures has a store all the same", async () => {
    const { make, store: other } = await makeStore(engine);
    await other.close();
    await using store = await engine.open(accountUrl(newPlace(), SECRET));
    await store.create(make.meta(), make.key("integrity"));
    await fillStore(store, make);
    expect(await collect(store.check())).toEqual([]);
  });

  test("a server that takes no writes, as a replica, is told apart from an account without rights", async () => {
    const { query } = engine.server();
    const { store, make, place } = await makeStore(engine);
    await using _ = store;
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(store);
    await using replica = await engine.open(accountUrl(place, SECRET));
    await query("SET GLOBAL read_only = 1");
    try {
      expect((await replica.read(id))?.slot).toBe(0);
      for (const write of [
        async () => await replica.append(make.batch([timeline.record()])),
        async () => await replica.acquireLease({ timeline: timeline.key, lease: make.lease(2) }),
      ]) {
        const { message, hint } = await expectFailure("ACCESS_DENIED", write);
        expect(message).toContain("read-only");
        expect(hint).toContain("name the primary");
      }
    } finally {
      await query("SET GLOBAL read_only = 0");
    }
  });

  test("a pool that is handed in stays open", async () => {
    const pool = createPool({ host: "127.0.0.1", port: engine.server().port, user: "root", database: "memento" });
    const store = await MysqlStore.open({ pool, prefix: newPlace() });
    expect(await store.meta()).toBeNull();
    expect(store.url).toMatch(/^mysql:\/\/127\.0\.0\.1:[0-9]+\/memento\?prefix=/u);
    await store.close();
    expect((await pool.query("SELECT 1 AS one"))[0]).toEqual([{ one: 1 }]);
    await pool.end();
  });

  test("a server that does not wait for its disk is not durable", async () => {
    const { query } = engine.server();
    await query("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    try {
      await using store = await engine.open(engine.server().url(newPlace()));
      expect(store.supports.durable).toBe(false);
    } finally {
      await query("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    }
  });

  test.each([
    ["an old MariaDB", "10.5.29-MariaDB", {}],
    ["an old MySQL", "8.0.16", {}],
    ["a node of a Galera cluster", "10.11.6-MariaDB", { wsrep_on: "ON" }],
    ["a binary log of statements", "8.4.3", { log_bin: "ON", binlog_format: "STATEMENT" }],
  ])("refuses %s with ENGINE_UNSUITABLE", async (_, version, variables) => {
    await expectFailure("ENGINE_UNSUITABLE", () => readServer(answering(version, variables), "mysql://h"));
  });

  test("knows the servers that will do, and whether they wait for their disks", async () => {
    const facts = { innodb_flush_log_at_trx_commit: "1", max_allowed_packet: "67108864" };
    expect(await readServer(answering("8.4.3", facts), "mysql://h")).toMatchObject({ durable: true });
    const lazy = { ...facts, log_bin: "ON", binlog_format: "ROW", sync_binlog: "0" };
    expect(await readServer(answering("10.11.6-MariaDB-log", lazy), "mysql://h")).toMatchObject({ durable: false });
  });
});
