import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../../../../../../test/harness/servers/postgres.ts";
import { type PostgresKitTable, postgresTablePlace } from "../../../../../../test/workers/postgres-table.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;

const NO_ZERO = {
  "write() > keeps every row of a batch": "PostgreSQL's text cannot hold the character U+0000, which that test writes",
};
const columns = "id text NOT NULL, amount double precision, note text";

const tables: Record<string, PostgresKitTable> = {
  "append, rows by numbers that the server draws": {
    mode: "append",
    columns: `n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ${columns}`,
    name: "n",
  },
  "upsert by a key": { mode: "upsert", columns: `${columns}, PRIMARY KEY (id)`, name: "id" },
  "upsert by a unique index beside another one, text as JSON": {
    mode: "upsert",
    columns: `id text COLLATE "C" NOT NULL UNIQUE, amount double precision, note json, UNIQUE (id, amount)`,
    key: "id",
    name: "id",
    jsonNote: true,
  },
};

describe.skipIf(!isThere)("postgresTable()", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  for (const [name, table] of Object.entries(tables)) {
    describe(name, () => {
      testSink({
        describe,
        test,
        mode: table.mode,
        place: postgresTablePlace(() => server as PostgresServer, table),
        badRow: { row: { id: null, amount: 1, note: null }, code: "RECORD_INVALID" },
        workerModule: new URL("../../../../../../test/workers/postgres-table.ts", import.meta.url),
        knownGaps: table.jsonNote === true ? {} : NO_ZERO,
      });
    });
  }
});
