import process from "node:process";

import { afterAll, beforeAll, describe } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { testFaults } from "../../../../../test/harness/object-store-faults.ts";
import { fakeGcsIsThere, startFakeGcs, type GcsServer } from "../../../../../test/harness/servers/fake-gcs.ts";
import { GcsStore } from "./store.ts";

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("faults of Google Cloud Storage", () => {
  let server: GcsServer;

  beforeAll(async () => {
    server = await startFakeGcs();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testFaults({
    server: () => server,
    bucket: () => server.bucket(),
    open: async (bucket, port, requests = {}) =>
      await GcsStore.open({ bucket, prefix: "faults", endpoint: `http://127.0.0.1:${port}`, requests }),
    isWrite: (bytes) => bytes.subarray(0, 6).equals(Buffer.from("POST /")),
    largeBytes: 2 ** 20,
    end: async (gcs) => await gcs.kill(),
    lostReplies: Number(process.env["MEMENTO_LOST_REPLIES"] ?? 300),
  });
});
