import process from "node:process";

import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { testObjectFaults } from "../../../../../test/harness/object-stores.ts";
import { minioIsThere, startMinio } from "../../../../../test/harness/servers/minio.ts";
import type { S3Server } from "../../../../../test/harness/servers/s3-server.ts";
import { startVersitygw, versitygwIsThere } from "../../../../../test/harness/servers/versitygw.ts";
import { S3Store } from "./store.ts";

const servers = [
  { name: "MinIO", isThere: minioIsThere, start: startMinio },
  { name: "versitygw", isThere: versitygwIsThere, start: startVersitygw },
];

for (const { name, isThere, start } of servers) {
  describe.skipIf(!(await requireEngine(name, isThere)))(`S3Store on ${name}`, () => {
    let server: S3Server;

    beforeAll(async () => {
      server = await start();
      Object.assign(process.env, server.environment);
    }, 90_000);

    afterAll(async () => {
      await server[Symbol.asyncDispose]();
    });

    testObjectFaults({
      test,
      describe,
      server: () => server,
      place: async () => {
        const bucket = await server.bucket();
        return (port) => server.url(bucket, "place", port);
      },
      open: async (url) => await S3Store.openUrl(url),
    });
  });
}
