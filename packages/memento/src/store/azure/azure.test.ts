import process from "node:process";

import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../../../../../test/harness/servers/azurite.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { AzureStore } from "./store.ts";

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("AzureStore on azurite", () => {
  let server: AzuriteServer;

  beforeAll(async () => {
    server = await startAzurite();
    Object.assign(process.env, server.environment);
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 30, reclaimsSpace: true },
    place: async () => {
      const url = server.url(await server.container(), "place");
      return { open: async () => await AzureStore.openUrl(url), address: url, dispose: async () => {} };
    },
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
