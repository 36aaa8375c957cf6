// Servers, databases and programs whose settings are not the usual ones.
import pg from "pg";
import { afterAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import { makeStore, type SqlEngineUnderTest } from "../../../../../test/harness/sql-store-tests.ts";
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
});
