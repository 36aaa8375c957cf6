// Servers and pools whose settings are not the usual ones.
import { createPool } from "mysql2/promise";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../test/harness/servers/mariadb.ts";
import { expectFailure } from "../../../../../test/harness/sql-error-tests.ts";
import { makeStore, newPlace, type SqlEngineUnderTest } from "../../../../../test/harness/sql-store-tests.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
import { mementoQuery } from "../query.ts";
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
  numberCommit: (place, header) => [
    "START TRANSACTION",
    `SELECT one FROM ${place}gate WHERE one = 1 LOCK IN SHARE MODE`,
    `UPDATE ${place}store SET notices = notices + 1 WHERE one = 1`,
    `INSERT INTO ${place}commit_log (header, notice) SELECT x'${header}', notices FROM ${place}store`,
  ],
  waiting: "",
};

/** A variable, an odd value, and the one that it has by default. */
type Setting = readonly [name: string, odd: string, usual: string];

const SETTINGS: readonly Setting[] = [
  ["autocommit", "0", "1"],
  ["completion_type", "'CHAIN'", "'NO_CHAIN'"],
  ["sql_safe_updates", "1", "0"],
  ["sql_select_limit", "40", "18446744073709551615"],
  ["tx_isolation", "'READ-UNCOMMITTED'", "'REPEATABLE-READ'"],
];

async function withSetting([name, odd, usual]: Setting, work: () => Promise<void>): Promise<void> {
  await engine.server().query(`SET GLOBAL ${name} = ${odd}`);
  try {
    await work();
  } finally {
    await engine.server().query(`SET GLOBAL ${name} = ${usual}`);
  }
}

describe.skipIf(!isThere)("MysqlStore on MariaDB", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  describe.each(SETTINGS)("where %s is %s", (...setting) => {
    test("a store of two processes is whole, and every answer too", async () => {
      await withSetting(setting, async () => {
        const { store, make, place, url } = await makeStore(engine);
        await using _ = store;
        await using other = await engine.open(url);
        await fillStore(store, make);
        const line = await make.timeline(store, { caretaker: "long" });
        const records = Array.from({ length: 60 }, () => line.next());
        await store.append(make.batch(records));
        await other.requestOf(line.key, "pause");
        expect((await store.timeline(line.key))?.request).toBe("pause");
        expect(await collect(other.query(mementoQuery({ caretaker: "long" })))).toHaveLength(60);
        await using slow = await engine.server().connect();
        const header = Buffer.from(make.notice("restored")).toString("hex");
        for (const sql of engine.numberCommit(place, header)) await slow.query(sql);
        expect((await collect(other.commits(null))).at(-1)?.accepted).toHaveLength(60);
        await slow.query("ROLLBACK");
        const ids = records.map(({ entry }) => entry.id);
        expect(await other.remove(ids, make.notice("removed", { mementos: ids }))).toHaveLength(60);
        expect(await collect(store.check())).toEqual([]);
      });
    });

    test("a pool that is handed in with it is refused with ENGINE_UNSUITABLE, which names it", async () => {
      await withSetting(setting, async () => {
        const place = { host: "127.0.0.1", port: engine.server().port, user: "root", database: "memento" };
        const pool = createPool(place);
        const error = await expectFailure("ENGINE_UNSUITABLE", () => MysqlStore.open({ pool, prefix: newPlace() }));
        expect(error.message).toContain(setting[0]);
        await pool.end();
      });
    });
  });
});
