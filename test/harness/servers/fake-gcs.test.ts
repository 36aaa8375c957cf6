import { Storage } from "@google-cloud/storage";
import { describe, expect, test } from "vitest";

import { requireEngine } from "../engines.ts";
import { fakeGcsIsThere, startFakeGcs } from "./fake-gcs.ts";

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("fake-gcs-server", () => {
  test("keeps what it acknowledged over kill -9, and creates only what is absent", async () => {
    await using server = await startFakeGcs();
    const { endpoint: apiEndpoint, projectId } = server;
    const storage = new Storage({ apiEndpoint, projectId, useAuthWithCustomEndpoint: false });
    const bucket = storage.bucket(await server.bucket());
    const create = { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } };
    await bucket.file("a/b").save("1", create);
    await server.kill();
    await server.start();
    await expect(bucket.file("a/b").save("2", create)).rejects.toMatchObject({ code: 412 });
    const [files] = await bucket.getFiles();
    expect(files.map(({ name }) => name)).toEqual(["a/b"]);
    expect(await server.bucket()).not.toBe(bucket.name);
  }, 300_000);
});
