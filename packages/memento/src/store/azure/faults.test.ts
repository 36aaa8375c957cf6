import process from "node:process";

import { afterAll, beforeAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { testFaults } from "../../../../../test/harness/object-store-faults.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../../../../../test/harness/servers/azurite.ts";
import { AzureStore } from "./store.ts";

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("faults of Azure Blob Storage", () => {
  let server: AzuriteServer;

  beforeAll(async () => {
    server = await startAzurite();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testFaults({
    server: () => server,
    bucket: () => server.container(),
    open: async (container, port, requests = {}) => {
      const { account, accountKey } = server;
      const endpoint = `http://127.0.0.1:${port}/${account}`;
      return await AzureStore.open({ account, accountKey, container, prefix: "faults", endpoint, requests });
    },
    isWrite: (bytes) => bytes.subarray(0, 5).equals(Buffer.from("PUT /")),
    largeBytes: 8 * 2 ** 20,
    // Killed, azurite loses what it acknowledged in the last seconds.
    end: async (azurite) => await azurite.stop(),
    lostReplies: Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300),
  });
});
