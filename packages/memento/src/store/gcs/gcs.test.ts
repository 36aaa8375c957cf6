import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { fakeGcsIsThere, startFakeGcs, type GcsServer } from "../../../../../test/harness/servers/fake-gcs.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { GcsStore } from "./store.ts";

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("GcsStore on fake-gcs-server", () => {
  let server: GcsServer;

  beforeAll(async () => {
    server = await startFakeGcs();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 30, reclaimsSpace: true },
    place: async () => {
      const url = server.url(await server.bucket(), "place");
      return { open: async () => await GcsStore.openUrl(url), address: url, dispose: async () => {} };
    },
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
