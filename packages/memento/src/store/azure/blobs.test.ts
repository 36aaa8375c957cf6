import { ContainerClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { afterAll, beforeAll, describe } from "vitest";

import { testBlobPort } from "../../../../../test/harness/blob-ports.ts";
import { requireEngine } from "../../../../../test/harness/engines.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../../../../../test/harness/servers/azurite.ts";
import { systemClock, systemRandom } from "../../core/ports.ts";
import { Requests } from "../blobs/requests.ts";
import { AzureBlobs } from "./blobs.ts";
import { azureFailure } from "./errors.ts";

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("blobs in a container of Azure", () => {
  let server: AzuriteServer;

  beforeAll(async () => {
    server = await startAzurite();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testBlobPort({
    largeBytes: 2 ** 20,
    open: async () => {
      const failureOf = (error: unknown, doing: string) => azureFailure(error, doing, []);
      const requests = new Requests({ clock: systemClock, random: systemRandom, failureOf });
      const credential = new StorageSharedKeyCredential(server.account, server.accountKey);
      const container = new ContainerClient(`${server.endpoint}/${await server.container()}`, credential);
      return new AzureBlobs({ container, requests, random: systemRandom, pageNamesMax: 7, blockBytes: 2 ** 18 });
    },
  });
});
