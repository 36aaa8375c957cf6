import { afterAll, describe } from "vitest";

import { requireEngine } from "../../harness/engines.ts";
import { type PostgresServer, probePostgres, startPostgres } from "../../harness/servers/postgres.ts";
import { postgresTablePlace } from "../../workers/postgres-table.ts";
import { testCampaign } from "./campaign.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;
const workerModule = new URL("../../workers/postgres-table.ts", import.meta.url);
const columns = "id text NOT NULL, amount double precision, note text";

describe.skipIf(!isThere)("PostgreSQL", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  testCampaign({
    name: "a PostgreSQL table, appended to",
    mode: "append",
    place: postgresTablePlace(() => server as PostgresServer, {
      mode: "append",
      columns: `n bigserial PRIMARY KEY, ${columns}`,
      name: "n",
    }),
    workerModule,
  });

  testCampaign({
    name: "a PostgreSQL table, rows by their key",
    mode: "upsert",
    place: postgresTablePlace(() => server as PostgresServer, {
      mode: "upsert",
      columns: `${columns}, PRIMARY KEY (id)`,
      name: "id",
    }),
    workerModule,
  });
});
