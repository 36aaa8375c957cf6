import process from "node:process";

import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import type { S3Server } from "../../../../../test/harness/servers/s3-server.ts";
import { versitygwIsThere, startVersitygw } from "../../../../../test/harness/servers/versitygw.ts";
import { testStore } from "../../testing/store/store-kit.ts";
import { S3Store } from "./store.ts";

describe.skipIf(!(await requireEngine("versitygw", versitygwIsThere)))("S3Store on versitygw", () => {
  let server: S3Server;
  let bucket = "";
  let places = 0;

  beforeAll(async () => {
    server = await startVersitygw();
    Object.assign(process.env, server.environment);
    bucket = await server.bucket();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testStore({
    test,
    describe,
    supports: { durable: true, sharedBy: "network", bodyBytesMax: 2 ** 30, reclaimsSpace: true },
    place: async () => {
      const url = server.url(bucket, `place-${(places += 1)}`);
      return { open: async () => await S3Store.openUrl(url), address: url, dispose: async () => {} };
    },
    workerModule: new URL("../../../../../test/workers/url-store.ts", import.meta.url),
  });
});
