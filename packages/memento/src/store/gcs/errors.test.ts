import { inspect } from "node:util";

import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { fakeGcsIsThere, startFakeGcs, type GcsServer } from "../../../../../test/harness/servers/fake-gcs.ts";
import { startForwarder, startHttpStub, type HttpStub } from "../../../../../test/harness/servers/http-servers.ts";
import { freePort } from "../../../../../test/harness/servers/server.ts";
import type { MementoError } from "../../core/errors.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { openStore } from "../open-store.ts";
import { GcsStore } from "./store.ts";

const HASTY = { attemptsMax: 3, firstPauseMs: 1, silenceMsMax: 5_000 };

/** What creating a store is refused with. */
async function refusal(open: () => Promise<GcsStore>): Promise<MementoError> {
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

/** A server that answers everything with one status, and counts. */
async function startRefusing(status: number, message: string): Promise<HttpStub & { readonly asked: () => number }> {
  let asked = 0;
  const stub = await startHttpStub((incoming, outgoing) => {
    asked += 1;
    incoming.resume();
    outgoing.writeHead(status, { "content-type": "application/json" });
    outgoing.end(JSON.stringify({ error: { code: status, message, errors: [{ reason: "stub", message }] } }));
  });
  return Object.assign(stub, { asked: () => asked });
}

describe("what Google answers", () => {
  test.each([
    [401, "ACCESS_DENIED", "Invalid Credentials"],
    [403, "ACCESS_DENIED", "me@x.iam.gserviceaccount.com does not have storage.objects.create access"],
    [404, "PLACE_MISSING", "The specified bucket does not exist."],
    [429, "STORE_UNREACHABLE", "The rate of change requests to the object exceeds the limit"],
    [500, "STORE_UNREACHABLE", "Backend Error"],
    [503, "STORE_UNREACHABLE", "We encountered an internal error. Please try again."],
    [501, "ENGINE_UNSUITABLE", "Not Implemented"],
    [400, "IO_FAILED", "Bad Request"],
  ])("%i is %s, and only what may pass is asked for again", async (status, code, message) => {
    await using stub = await startRefusing(status, message);
    const endpoint = `http://127.0.0.1:${stub.port}`;
    const error = await refusal(() => GcsStore.open({ bucket: "bucket", endpoint, requests: HASTY }));
    expect(error).toMatchObject({ name: "MementoError", code });
    expect(error.message).toContain(message);
    const asked = stub.asked();
    await using store = await GcsStore.open({ bucket: "bucket", endpoint, requests: HASTY });
    await expect(store.meta()).rejects.toMatchObject({ code });
    expect(stub.asked() - asked).toBe(code === "STORE_UNREACHABLE" ? HASTY.attemptsMax : 1);
  });
});

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("errors of Google Cloud Storage", () => {
  let server: GcsServer;
  let bucket = "";

  beforeAll(async () => {
    server = await startFakeGcs();
    bucket = await server.bucket();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a bucket that is not there is PLACE_MISSING, for readers too", async () => {
    const url = server.url("not-there", "x");
    expect(await refusal(() => GcsStore.openUrl(url))).toMatchObject({ code: "PLACE_MISSING" });
    await using store = await GcsStore.openUrl(url);
    await expect(store.meta()).rejects.toMatchObject({ code: "PLACE_MISSING" });
  });

  test("a server that is not there is STORE_UNREACHABLE", async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const error = await refusal(() => GcsStore.open({ bucket, endpoint, requests: HASTY }));
    expect(error).toMatchObject({ code: "STORE_UNREACHABLE", retryable: true });
  });

  test("a server that ignores ifGenerationMatch is refused by name with ENGINE_UNSUITABLE", async () => {
    await using deaf = await startForwarder(server.port, ({ path, headers }) => ({
      path: path.replace("ifGenerationMatch=0", "ignored=0"),
      headers,
    }));
    const error = await refusal(() => GcsStore.openUrl(server.url(bucket, "deaf", deaf.port)));
    expect(error).toMatchObject({ code: "ENGINE_UNSUITABLE" });
    expect(error.message).toContain(`gs://${bucket}/deaf`);
    expect(error.message).toContain("ifGenerationMatch=0");
  });

  test("a client and a bucket that are handed in are used as they are", async () => {
    const storage = new Storage({ apiEndpoint: server.endpoint, useAuthWithCustomEndpoint: false });
    const make = new StoreFixture(3);
    await using store = await GcsStore.open({ bucket: storage.bucket(bucket), prefix: "handed-in" });
    await store.create(make.meta(), make.key("integrity"));
    expect(store.url).toBe(server.url(bucket, "handed-in"));
    await using again = await GcsStore.open({ bucket, storage, prefix: "handed-in" });
    expect((await again.meta())?.format).toBe(1);
    await using byUrl = (await openStore(store.url)).store;
    expect((await byUrl.meta())?.format).toBe(1);
  });

  test("credentials are never sent over plain http, and a token is never shown", async () => {
    const heard: (string | undefined)[] = [];
    await using ear = await startForwarder(server.port, (passed) => {
      heard.push(passed.headers.authorization);
      return passed;
    });
    await using store = await GcsStore.openUrl(server.url(bucket, "ear", ear.port));
    await store.meta();
    expect(heard.length).toBeGreaterThan(0);
    expect(heard.every((header) => header === undefined)).toBe(true);
    await using refusing = await startRefusing(401, "Invalid Credentials: Bearer SECRET-TOKEN.abc");
    const endpoint = `http://127.0.0.1:${refusing.port}`;
    const error = await refusal(() => GcsStore.open({ bucket, endpoint, requests: HASTY }));
    expect(shown(error)).not.toContain("SECRET");
  });

  test.each([
    ["gs:///prefix", "INVALID_ARGUMENT"],
    ["gs://bucket/x?access_token=SECRET", "INVALID_ARGUMENT"],
    ["gs://user:SECRET@bucket/x", "INVALID_ARGUMENT"],
    ["gs://bucket?endpoint=http%3A%2F%2Fu%3ASECRET%40h", "INVALID_ARGUMENT"],
    ["gs://bucket/..%2Fx", "INVALID_ARGUMENT"],
    ["gs://bu%20cket/x", "INVALID_ARGUMENT"],
  ])("refuses %s, and repeats no secret", async (url, code) => {
    const error = await refusal(() => GcsStore.openUrl(url));
    expect(error).toMatchObject({ code });
    expect(shown(error)).not.toContain("SECRET");
  });
});
