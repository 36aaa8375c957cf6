import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { probeMariadb, startMariadb } from "../../../../../test/harness/servers/mariadb.ts";
import type { StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { MysqlStore } from "./store.ts";

const isThere = await requireEngine("MariaDB", probeMariadb);
const server = isThere ? await startMariadb() : null;
let places = 0;

/** Tables are slow to make and to drop here, so that places are left where they are until the server goes. */
async function place(): Promise<StorePlace> {
  const url = server?.url(`p${(places += 1)}_`) ?? "";
  return { open: async () => await MysqlStore.openUrl(url), address: url, dispose: async () => undefined };
}

describe.skipIf(!isThere)("MysqlStore on MariaDB", () => {
  afterAll(async () => await server?.[Symbol.asyncDispose]());

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 31 - 1, reclaimsSpace: true },
    place,
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
