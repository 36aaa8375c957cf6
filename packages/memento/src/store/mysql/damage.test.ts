import { afterAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../test/harness/servers/mariadb.ts";
import { declareDamageTests } from "../../../../../test/harness/sql-damage-tests.ts";
import { MysqlStore } from "./store.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const server = isThere ? await startMariadb() : null;

describe.skipIf(!isThere)("MysqlStore", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  declareDamageTests({
    server: () => {
      if (server === null) throw new Error("there is no MariaDB");
      return server;
    },
    open: async (url) => await MysqlStore.openUrl(url),
    table: (place, name) => `${place}${name}`,
    numberCommit: () => [],
    waiting: "",
  });
});
