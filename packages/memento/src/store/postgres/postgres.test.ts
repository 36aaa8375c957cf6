import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probePostgres, startPostgres } from "../../../../../test/harness/servers/postgres.ts";
import type { StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { PostgresStore } from "./store.ts";

const isThere = await requireEngine("PostgreSQL", probePostgres);
const server = isThere ? await startPostgres() : null;
let places = 0;

async function place(): Promise<StorePlace> {
  const schema = `place_${(places += 1)}`;
  const url = server?.url(schema) ?? "";
  return {
    open: async () => await PostgresStore.openUrl(url),
    address: url,
    dispose: async () => void (await server?.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE`)),
  };
}

describe.skipIf(!isThere)("PostgresStore", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 31 - 1, reclaimsSpace: true },
    place,
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
