import { afterAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../test/harness/servers/mariadb.ts";
import {
  declareFaultTests,
  declareOrderTests,
  type SqlEngineUnderTest,
} from "../../../../../test/harness/sql-store-tests.ts";
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
    `UPDATE ${place}store SET notices = notices + 1`,
    `INSERT INTO ${place}commit_log (header, notice) SELECT x'${header}', notices FROM ${place}store`,
  ],
  waiting: "SELECT count(*) AS waiting FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
};

describe.skipIf(!isThere)("MysqlStore on MariaDB", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  declareOrderTests(engine);
  declareFaultTests(engine);
});
