import process from "node:process";
import { inspect } from "node:util";

import {
  ContainerClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from "@azure/storage-blob";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../../../../../test/harness/servers/azurite.ts";
import { startForwarder } from "../../../../../test/harness/servers/http-servers.ts";
import { freePort } from "../../../../../test/harness/servers/server.ts";
import type { MementoError } from "../../core/errors.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { openStore } from "../open-store.ts";
import { AzureStore, type AzureStoreOptions } from "./store.ts";

const HASTY = { attemptsMax: 2, firstPauseMs: 1, silenceMsMax: 5_000 };
const VARIABLES = ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"];

/** What creating a store is refused with. */
async function refusal(open: () => Promise<AzureStore>): Promise<MementoError> {
  const make = new StoreFixture(3);
  try {
    await using store = await open();
    await store.create(make.meta(), make.key("integrity"));
  } catch (error) {
    return error as MementoError;
  }
  throw new Error("nothing was refused");
}

/** Everything that a person or a log could see of an error. */
const shown = (error: unknown): string => `${inspect(error, { depth: 9, showHidden: true })} ${JSON.stringify(error)}`;

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("errors of Azure Blob Storage", () => {
  let server: AzuriteServer;
  let container = "";

  beforeAll(async () => {
    server = await startAzurite();
    container = await server.container();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  function address(changes: object = {}): AzureStoreOptions {
    const { account, accountKey, endpoint } = server;
    return { account, accountKey, container, endpoint, requests: HASTY, ...changes };
  }

  function signature(permissions: string): string {
    const credential = new StorageSharedKeyCredential(server.account, server.accountKey);
    return generateBlobSASQueryParameters(
      {
        containerName: container,
        permissions: ContainerSASPermissions.parse(permissions),
        expiresOn: new Date("2100-01-01"),
      },
      credential,
    ).toString();
  }

  test("a wrong key is ACCESS_DENIED, and is not shown", async () => {
    const accountKey = Buffer.from("an entirely wrong key").toString("base64");
    const error = await refusal(() => AzureStore.open(address({ accountKey })));
    expect(error.code).toBe("ACCESS_DENIED");
    expect(error.hint).toContain("AZURE_STORAGE_KEY");
    expect(shown(error)).not.toContain(accountKey);
    expect(shown(error)).not.toMatch(/SharedKey /);
  });

  test("a container that is not there is PLACE_MISSING, for readers too", async () => {
    const missing = address({ container: "not-there" });
    expect(await refusal(() => AzureStore.open(missing))).toMatchObject({ code: "PLACE_MISSING" });
    await using store = await AzureStore.open(missing);
    await expect(store.meta()).rejects.toMatchObject({ code: "PLACE_MISSING" });
  });

  test("a signature that only reads is ACCESS_DENIED, and neither it nor the token is shown", async () => {
    const sasToken = signature("rl");
    const sig = new URLSearchParams(sasToken).get("sig") ?? "";
    const options = { accountKey: undefined, sasToken: `?${sasToken}` };
    await using store = await AzureStore.open(address(options));
    expect(await store.meta()).toBe(null);
    const error = await refusal(() => AzureStore.open(address(options)));
    expect(error.code).toBe("ACCESS_DENIED");
    for (const text of [shown(error), store.url]) {
      for (const secret of [sasToken, sig, encodeURIComponent(sig)]) expect(text).not.toContain(secret);
    }
  });

  test("a signature does what its permissions allow; the environment gives it", async () => {
    vi.stubEnv("AZURE_STORAGE_KEY", "");
    vi.stubEnv("AZURE_STORAGE_SAS_TOKEN", signature("racwdl"));
    const make = new StoreFixture(3);
    const url = server.url(container, "by-signature");
    await using store = (await openStore(url)).store;
    await store.create(make.meta(), make.key("integrity"));
    expect(store.url).toBe(url);
    expect((await store.meta())?.format).toBe(1);
  });

  test("a connection string gives account, key and endpoint; one of another account is refused without its key", async () => {
    const { account, accountKey, endpoint } = server;
    const text = `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${accountKey};BlobEndpoint=${endpoint};`;
    vi.stubEnv("AZURE_STORAGE_CONNECTION_STRING", text);
    await using store = await AzureStore.openUrl(`azure://${account}/${container}/by-string`);
    expect(await store.meta()).toBe(null);
    expect(store.url).toBe(server.url(container, "by-string"));
    const error = await refusal(() => AzureStore.openUrl(`azure://another/${container}`));
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(shown(error)).not.toContain(accountKey);
  });

  test("a server that is not there is STORE_UNREACHABLE", async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}/${server.account}`;
    expect(await refusal(() => AzureStore.open(address({ endpoint })))).toMatchObject({
      code: "STORE_UNREACHABLE",
      retryable: true,
    });
  });

  test("a machine without an identity is ACCESS_DENIED", async () => {
    const credential = {
      getToken: async () => {
        throw Object.assign(new Error("no identity was found"), { name: "CredentialUnavailableError" });
      },
    };
    const endpoint = `https://127.0.0.1:${await freePort()}`;
    const error = await refusal(() => AzureStore.open(address({ accountKey: undefined, credential, endpoint })));
    expect(error).toMatchObject({ code: "ACCESS_DENIED" });
  });

  test("a server that ignores If-None-Match is refused by name with ENGINE_UNSUITABLE", async () => {
    await using deaf = await startForwarder(server.port, ({ path, headers }) => ({
      path,
      headers: Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "if-none-match")),
    }));
    const endpoint = `http://127.0.0.1:${deaf.port}/${server.account}`;
    const options = { accountKey: undefined, sasToken: signature("racwdl"), endpoint, prefix: "deaf" };
    const error = await refusal(() => AzureStore.open(address(options)));
    expect(error).toMatchObject({ code: "ENGINE_UNSUITABLE" });
    expect(error.message).toContain(`azure://${server.account}/${container}/deaf`);
    expect(error.message).toContain("If-None-Match: *");
  });

  test("a client that is handed in is used as it is, and its signature is not shown", async () => {
    const sasToken = signature("racwdl");
    const client = new ContainerClient(`${server.endpoint}/${container}?${sasToken}`);
    const make = new StoreFixture(3);
    await using store = await AzureStore.open({ containerClient: client, prefix: "handed-in" });
    await store.create(make.meta(), make.key("integrity"));
    expect(store.url).toBe(server.url(container, "handed-in"));
    const blind = new ContainerClient(`${server.endpoint}/${container}?${signature("r")}`, undefined, {
      retryOptions: { maxTries: 1 },
    });
    const error = await refusal(() => AzureStore.open({ containerClient: blind, requests: HASTY }));
    expect(error.code).toBe("ACCESS_DENIED");
    expect(shown(error)).not.toContain("sig=");
  });

  test.each([
    ["azure://account", "INVALID_ARGUMENT"],
    ["azure:///container", "INVALID_ARGUMENT"],
    ["azure://account/container?sv=1&sig=SECRET", "INVALID_ARGUMENT"],
    ["azure://user:SECRET@account/container", "INVALID_ARGUMENT"],
    ["azure://account/container?endpoint=http%3A%2F%2Fh%2F%3Fsig%3DSECRET", "INVALID_ARGUMENT"],
    ["azure://account/container?endpoint=http%3A%2F%2Fu%3ASECRET%40h", "INVALID_ARGUMENT"],
    ["azure://account/container?endpoint=ftp%3A%2F%2Fh", "INVALID_ARGUMENT"],
    ["azure://account/container/a//b", "INVALID_ARGUMENT"],
    ["azure://account/container/a%5Cb", "INVALID_ARGUMENT"],
    ["azure://account/container/%zz", "INVALID_ARGUMENT"],
  ])("refuses %s, and repeats no secret", async (url, code) => {
    for (const variable of VARIABLES) vi.stubEnv(variable, "");
    vi.stubEnv("AZURE_STORAGE_KEY", "a2V5");
    const error = await refusal(() => AzureStore.openUrl(url));
    expect(error).toMatchObject({ code });
    expect(shown(error)).not.toContain("SECRET");
    expect(process.env["AZURE_STORAGE_KEY"]).toBe("a2V5");
  });
});
