import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { describe, expect, test } from "vitest";

import { requireEngine } from "../engines.ts";
import { azuriteIsThere, startAzurite } from "./azurite.ts";

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("azurite", () => {
  test("keeps what it acknowledged over a stop, and creates only what is absent", async () => {
    await using server = await startAzurite();
    const credential = new StorageSharedKeyCredential(server.account, server.accountKey);
    const name = await server.container();
    const container = new BlobServiceClient(server.endpoint, credential).getContainerClient(name);
    const create = { conditions: { ifNoneMatch: "*" } };
    const blob = container.getBlockBlobClient("a/b");
    await blob.upload("1", 1, create);
    await server.stop();
    await server.start();
    await expect(blob.upload("2", 1, create)).rejects.toMatchObject({ statusCode: 409 });
    const names = await Array.fromAsync(container.listBlobsFlat(), (item) => item.name);
    expect(names).toEqual(["a/b"]);
    expect(await server.container()).not.toBe(name);
  }, 300_000);
});
