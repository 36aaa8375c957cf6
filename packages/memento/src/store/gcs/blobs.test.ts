import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe } from "vitest";

import { testBlobPort } from "../../../../../test/harness/blob-ports.ts";
import { requireEngine } from "../../../../../test/harness/engines.ts";
import { fakeGcsIsThere, startFakeGcs, type GcsServer } from "../../../../../test/harness/servers/fake-gcs.ts";
import { systemClock, systemRandom } from "../../core/ports.ts";
import { Requests } from "../blobs/requests.ts";
import { GcsBlobs } from "./blobs.ts";
import { gcsFailure } from "./errors.ts";

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("blobs in a bucket of Google", () => {
  let server: GcsServer;

  beforeAll(async () => {
    server = await startFakeGcs();
  }, 90_000);

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  testBlobPort({
    largeBytes: 2 ** 20,
    open: async () => {
      const failureOf = (error: unknown, doing: string) => gcsFailure(error, doing, "blob");
      const requests = new Requests({ clock: systemClock, random: systemRandom, failureOf });
      const storage = new Storage({ apiEndpoint: server.endpoint, useAuthWithCustomEndpoint: false });
      return new GcsBlobs({ bucket: storage.bucket(await server.bucket()), requests, pageNamesMax: 7 });
    },
  });
});
