// Servers, databases and programs whose settings are not the usual ones.
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import { expectFailure } from "../../../../../test/harness/sql-error-tests.ts";
import { makeStore, newPlace, type SqlEngineUnderTest } from "../../../../../test/harness/sql-store-tests.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect } from "../../testing/store/kit.ts";
import { fillStore } from "../../testing/store/sample.ts";
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
  waiting: "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted",
};

async function untilSomebodyWaits(): Promise<void> {
  const { server: running, waiting } = engine;
  for (const deadline = performance.now() + 30_000; Number((await running().query(waiting))[0]?.["waiting"]) === 0;) {
    if (performance.now() > deadline) throw new Error("nobody came to wait for a lock");
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

describe.skipIf(!isThere)("PostgresStore", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  test("a program that has the client read bigint as BigInt has a store all the same", async () => {
    const before: unknown = pg.types.getTypeParser(pg.types.builtins.INT8);
    pg.types.setTypeParser(pg.types.builtins.INT8, (text) => BigInt(text));
    try {
      const { store, make } = await makeStore(engine);
      await using _ = store;
      await fillStore(store, make);
      expect(await collect(store.check())).toEqual([]);
      expect((await collect(store.commits(null))).length).toBeGreaterThan(5);
      expect(await store.compact()).toBeGreaterThanOrEqual(0);
    } finally {
      pg.types.setTypeParser(pg.types.builtins.INT8, before as (text: string) => unknown);
    }
  });

  test("a text that the database's encoding does not have is no damage, and one with a NUL neither", async () => {
    const { query, url } = engine.server();
    await query("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    await using store = await engine.open(url(newPlace()).replace("/postgres?", "/latin?"));
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const line = await make.timeline(store);
    await line.save(store, { name: "größe" });
    const error = await expectFailure("ENGINE_UNSUITABLE", () => line.save(store, { name: "日本" }));
    expect(error.message).toContain("LATIN1");
    await expectFailure("INVALID_ARGUMENT", () => store.findByName("etl", "a\0b"));
    expect(await collect(store.check())).toEqual([]);
  });

  describe.each(["repeatable read", "serializable"])("where transactions are %s by default", (level) => {
    const withLevel = async (work: () => Promise<void>): Promise<void> => {
      const { query } = engine.server();
      await query(`ALTER DATABASE postgres SET default_transaction_isolation = '${level}'`);
      try {
        await work();
      } finally {
        await query("ALTER DATABASE postgres RESET default_transaction_isolation");
      }
    };

    test("several make one store", async () => {
      await withLevel(async () => {
        const [url, make] = [engine.server().url(newPlace()), new StoreFixture(1)];
        const made = await Promise.all(
          Array.from({ length: 6 }, async () => {
            await using store = await engine.open(url);
            return await store.create(make.meta(), make.key("integrity"));
          }),
        );
        expect(new Set(made.map(({ id }) => id)).size).toBe(1);
      });
    });

    test("saves, renewals and requests do not stand in one another's way", async () => {
      await withLevel(async () => {
        const { store, make, url } = await makeStore(engine);
        await using _ = store;
        await using other = await engine.open(url);
        const line = await make.timeline(store);
        const turns = Array.from({ length: 100 }, (_none, index) => index);
        await Promise.all([
          (async () => {
            for (const __ of turns) await line.save(store);
          })(),
          (async () => {
            for (const turn of turns) await other.requestOf(line.key, turn % 2 === 0 ? "pause" : null);
          })(),
          (async () => {
            for (const __ of turns) await other.renewLease({ timeline: line.key, lease: make.lease(1) });
          })(),
        ]);
        expect((await store.timeline(line.key))?.head?.sequence).toBe(turns.length);
        expect(await collect(store.check())).toEqual([]);
      });
    });

    test("an append that was held up brings nothing under a key that was retired meanwhile", async () => {
      await withLevel(async () => {
        const { store, make, place } = await makeStore(engine);
        await using _ = store;
        const line = await make.timeline(store);
        const dataKey = make.key("data");
        await store.append(make.batch([line.next()], { dataKey, suite: "A256GCM" }));
        await using slow = await engine.server().connect();
        await slow.query("BEGIN");
        await slow.query(`SELECT 1 FROM "${place}".timeline WHERE timeline = '${line.key}' FOR UPDATE`);
        const late = make.batch([line.record()], { dataKey, suite: "A256GCM" });
        const refused = expectFailure("KEY_RETIRED", () => store.append({ ...late, dataKey: null }));
        await untilSomebodyWaits();
        expect(await store.retireKey(dataKey.id)).toBe(true);
        await slow.query("ROLLBACK");
        await refused;
      });
    });
  });
});
