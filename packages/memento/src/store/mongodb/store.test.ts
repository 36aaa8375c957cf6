import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mongodbIsThere, startMongodb } from "../../../../../test/harness/servers/mongodb.ts";
import type { StorePlace } from "../../testing/store/kit.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import type { StoreSupports } from "../store.ts";
import { MongodbStore } from "./store.ts";

const isThere = await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere);
const server = isThere ? await startMongodb() : null;
const supports: StoreSupports = { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 30, reclaimsSpace: true };

afterAll(async () => await server?.[Symbol.asyncDispose]());

let places = 0;

/** A database of its own, which is cheap to make and to drop. */
async function place(commit: string): Promise<StorePlace> {
  places += 1;
  const url = `${server?.url(`kit_${places}`)}&commit=${commit}`;
  return { open: async () => await MongodbStore.openUrl(url), address: url, dispose: async () => undefined };
}

describe.skipIf(!isThere).each(["transaction", "single-document"])("MongodbStore, committing by %s", (commit) => {
  testStore({
    test,
    describe,
    supports,
    place: async () => await place(commit),
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
