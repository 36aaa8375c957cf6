import { afterAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import {
  declareFaultTests,
  declareOrderTests,
  type SqlEngineUnderTest,
} from "../../../../../test/harness/sql-store-tests.ts";
import { gateOf } from "./dialect.ts";
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
  numberCommit: (place, header) => [
    "BEGIN",
    `SELECT pg_advisory_xact_lock_shared(${gateOf(place)})`,
    `UPDATE "${place}".store SET notices = notices + 1`,
    `INSERT INTO "${place}".commit_log (header, notice) SELECT '\\x${header}', notices FROM "${place}".store`,
  ],
  waiting: "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted",
};

describe.skipIf(!isThere)("PostgresStore", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  declareOrderTests(engine);
  declareFaultTests(engine);
});
