import { afterAll, describe } from "vitest";

import { requireEngine } from "../../harness/engines.ts";
import { type MariadbServer, probeMariadb, startMariadb } from "../../harness/servers/mariadb.ts";
import { mysqlTablePlace } from "../../workers/mysql-table.ts";
import { testCampaign } from "./campaign.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const server = isThere ? await startMariadb() : null;
const workerModule = new URL("../../workers/mysql-table.ts", import.meta.url);
const columns = "id VARCHAR(100) NOT NULL, amount DOUBLE, note TEXT";

describe.skipIf(!isThere)("MariaDB", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  testCampaign({
    name: "a MariaDB table, appended to",
    mode: "append",
    place: mysqlTablePlace(() => server as MariadbServer, {
      mode: "append",
      columns: `n BIGINT AUTO_INCREMENT PRIMARY KEY, ${columns}`,
      name: "n",
    }),
    workerModule,
  });

  testCampaign({
    name: "a MariaDB table, rows by their key",
    mode: "upsert",
    place: mysqlTablePlace(() => server as MariadbServer, {
      mode: "upsert",
      columns: `${columns}, PRIMARY KEY (id)`,
      name: "id",
    }),
    workerModule,
  });
});
