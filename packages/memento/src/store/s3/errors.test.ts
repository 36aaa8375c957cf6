import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

import { DeleteObjectCommand, PutBucketPolicyCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { minioIsThere, startMinio } from "../../../../../test/harness/servers/minio.ts";
import type { S3Server } from "../../../../../test/harness/servers/s3-server.ts";
import { freePort } from "../../../../../test/harness/servers/server.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { openStore } from "../open-store.ts";
import { S3Store } from "./store.ts";

const SECRET = "SKtest1234";

/** Fails unless the call fails with a MementoError of this code in which no secret is, however it is shown. */
async function expectError(code: string, call: () => Promise<unknown>): Promise<Error> {
  const error = await call().then(
    () => new Error("it did not fail"),
    (caught: unknown) => caught as Error & { code?: string },
  );
  expect(error).toMatchObject({ code });
  const shown = JSON.stringify([
    error,
    error.message,
    error.stack,
    String(error.cause),
    { ...(error.cause as object) },
  ]);
  expect(shown).not.toContain(SECRET);
  expect(shown).not.toContain("Signature=");
  return error;
}

async function create(store: S3Store): Promise<void> {
  const make = new StoreFixture(1);
  await store.create(make.meta(), make.key("integrity"));
}

describe("S3Store.openUrl()", () => {
  test.each([
    ["a user and password", `s3://AK:${SECRET}@bucket/prefix`],
    ["a secret as a parameter", `s3://bucket/prefix?secretAccessKey=${SECRET}`],
    ["a password in the endpoint", `s3://bucket/prefix?endpoint=${encodeURIComponent(`http://u:${SECRET}@h`)}`],
    ["no bucket", "s3:///prefix"],
    ["a prefix that leaves its place", "s3://bucket/a//b"],
    ["a pathStyle that is neither", "s3://bucket/a?pathStyle=maybe"],
    ["an endpoint of another kind", "s3://bucket/a?endpoint=ftp%3A%2F%2Fh"],
  ])("refuses %s, and does not repeat it", async (_, url) => {
    await expectError("INVALID_ARGUMENT", async () => await S3Store.openUrl(url));
  });

  test("gives a URL that names the same place again", async () => {
    const urls = [
      "s3://bucket",
      "s3://bucket/a/b?region=eu-west-1",
      "s3://bucket/a%20b?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=r",
      "s3://bucket/a?endpoint=https%3A%2F%2Fs3.example.org&pathStyle=false",
    ];
    for (const url of urls) expect((await S3Store.openUrl(url)).url).toBe(url);
  });
});

describe.skipIf(!(await requireEngine("MinIO", minioIsThere)))("S3Store", () => {
  let server: S3Server;
  let bucket = "";
  const environment = { ...process.env };

  beforeAll(async () => {
    server = await startMinio();
    Object.assign(process.env, server.environment);
    bucket = await server.bucket();
  }, 90_000);

  afterEach(() => {
    Object.assign(process.env, server.environment);
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    Object.assign(process.env, environment);
  });

  test("a bucket that is not there is PLACE_MISSING, for readers and makers", async () => {
    await using store = await S3Store.openUrl(server.url("not-there"));
    await expectError("PLACE_MISSING", async () => await store.meta());
    await expectError("PLACE_MISSING", async () => await store.engine());
    const error = await expectError("PLACE_MISSING", async () => await create(store));
    expect(error.message).toContain("s3://not-there");
  });

  test("the server's own name is told", async () => {
    await using store = await S3Store.openUrl(server.url(bucket));
    expect(await store.engine()).toEqual({ name: "S3", version: "MinIO", bytes: null, freeBytes: null });
  });

  test("a wrong secret, a wrong key id and none at all are ACCESS_DENIED", async () => {
    const open = async (): Promise<void> => {
      await using store = await S3Store.openUrl(server.url(bucket, "denied"));
      await store.meta();
    };
    process.env["AWS_SECRET_ACCESS_KEY"] = `wrong-${SECRET}`;
    await expectError("ACCESS_DENIED", open);
    Object.assign(process.env, server.environment, { AWS_ACCESS_KEY_ID: "nobody" });
    await expectError("ACCESS_DENIED", open);
    delete process.env["AWS_ACCESS_KEY_ID"];
    delete process.env["AWS_SECRET_ACCESS_KEY"];
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
    await expectError("ACCESS_DENIED", open);
  });

  test("an account that may only read reads, and is told that it may not write", async () => {
    await using own = await S3Store.openUrl(server.url(bucket, "read-only"));
    await create(own);
    const admin = new S3Client({ ...server, forcePathStyle: true });
    const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
    const Statement = [
      { Effect: "Allow", Principal: { AWS: ["*"] }, Action: ["s3:GetObject", "s3:ListBucket"], Resource },
    ];
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement });
    await admin.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    admin.destroy();
    const { endpoint, region } = server;
    const anybody = new S3Client({ endpoint, region, forcePathStyle: true, signer: { sign: async (it) => it } });
    await using store = await S3Store.open({ bucket, prefix: "read-only", endpoint, client: anybody });
    const make = new StoreFixture(2);
    expect(await store.meta()).not.toBeNull();
    await expectError("ACCESS_DENIED", async () => await make.timeline(store));
    anybody.destroy();
  });

  test("a server that is not there is STORE_UNREACHABLE, and so is one that does not answer", async () => {
    const port = await freePort();
    await using nobody = await S3Store.openUrl(server.url(bucket, "x", port));
    await expectError("STORE_UNREACHABLE", async () => await nobody.meta());
    await using store = await S3Store.open({ bucket, endpoint: server.endpoint, requestMsMax: 3_000 });
    server.signal("SIGSTOP");
    try {
      await expectError("STORE_UNREACHABLE", async () => await store.meta());
    } finally {
      server.signal("SIGCONT");
    }
    expect(await store.meta()).toBeNull();
  });

  test("a store whose facts are gone is DAMAGED, not empty", async () => {
    await using store = await S3Store.openUrl(server.url(bucket, "no-facts"));
    await create(store);
    const make = new StoreFixture(3);
    await make.timeline(store);
    const client = new S3Client({ ...server, forcePathStyle: true });
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: "no-facts/store.json" }));
    client.destroy();
    await using again = await S3Store.openUrl(server.url(bucket, "no-facts"));
    await expectError("DAMAGED", async () => await again.meta());
  });
});

interface Careless {
  run(): Promise<{ readonly port: number }>;
  close(): Promise<void>;
}

describe("a server that ignores conditions", () => {
  test("is refused by name before anything is made", async () => {
    // It has no types.
    const require = createRequire(import.meta.url);
    const S3rver = require("s3rver") as new (options: object) => Careless;
    const careless = new S3rver({
      port: 0,
      address: "127.0.0.1",
      silent: true,
      directory: join(tmpdir(), `memento-s3rver-${process.pid}`),
      resetOnClose: true,
      configureBuckets: [{ name: "bucket" }],
    });
    const { port } = await careless.run();
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" });
    try {
      const { store } = await openStore(`s3://bucket/place?endpoint=http%3A%2F%2F127.0.0.1%3A${port}`);
      const error = await expectError("ENGINE_UNSUITABLE", async () => await create(store as S3Store));
      expect(error.message).toContain(`127.0.0.1%3A${port}`);
      expect(error.message).toContain("If-None-Match: *");
      expect(await store.meta()).toBeNull();
      await store.close();
    } finally {
      await careless.close();
    }
  });
});
