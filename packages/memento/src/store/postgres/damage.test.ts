import { afterAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import { declareDamageTests } from "../../../../../test/harness/sql-damage-tests.ts";
import { PostgresStore } from "./store.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;

describe.skipIf(!isThere)("PostgresStore", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  declareDamageTests({
    server: () => {
      if (server === null) throw new Error("there is no PostgreSQL");
      return server;
    },
    open: async (url) => await PostgresStore.openUrl(url),
    table: (place, name) => `"${place}".${name}`,
    numberCommit: () => [],
    waiting: "",
  });
});
