import process from "node:process";
import zlib from "node:zlib";

import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { Storage } from "@google-cloud/storage";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { azuriteIsThere, startAzurite } from "../../../../../../test/harness/servers/azurite.ts";
import { fakeGcsIsThere, startFakeGcs } from "../../../../../../test/harness/servers/fake-gcs.ts";
import { minioIsThere, startMinio } from "../../../../../../test/harness/servers/minio.ts";
import { isMementoError, type MementoError } from "../../../core/errors.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { jsonlFile } from "../json/jsonl-file.ts";
import type { Source, SourceBatch, SourceOffset, SourceOffsets } from "../source.ts";
import { objectFiles } from "./object-files.ts";

/** A bucket that a test writes to by hand. */
interface Place extends AsyncDisposable {
  readonly url: (prefix: string) => string;
  put(key: string, bytes: Uint8Array | string): Promise<unknown>;
  remove(key: string): Promise<unknown>;
}

interface Service {
  readonly name: string;
  readonly isThere: boolean;
  readonly start: () => Promise<Place>;
}

const services: readonly Service[] = [
  {
    name: "MinIO",
    isThere: await requireEngine("MinIO", minioIsThere),
    start: async () => {
      const server = await startMinio();
      const { endpoint, region, credentials } = server;
      const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
      const Bucket = "inbox";
      await client.send(new CreateBucketCommand({ Bucket }));
      Object.assign(process.env, server.environment);
      return {
        url: (prefix) => server.url(Bucket, prefix),
        put: async (Key, Body) => await client.send(new PutObjectCommand({ Bucket, Key, Body })),
        remove: async (Key) => await client.send(new DeleteObjectCommand({ Bucket, Key })),
        [Symbol.asyncDispose]: async () => {
          client.destroy();
          await server[Symbol.asyncDispose]();
        },
      };
    },
  },
  {
    name: "azurite",
    isThere: await requireEngine("azurite", azuriteIsThere),
    start: async () => {
      const server = await startAzurite();
      const credential = new StorageSharedKeyCredential(server.account, server.accountKey);
      const name = await server.container();
      const container = new BlobServiceClient(server.endpoint, credential).getContainerClient(name);
      Object.assign(process.env, server.environment);
      return {
        url: (prefix) => server.url(name, prefix),
        put: async (key, bytes) => await container.getBlockBlobClient(key).uploadData(Buffer.from(bytes)),
        remove: async (key) => await container.deleteBlob(key),
        [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
      };
    },
  },
  {
    name: "fake-gcs-server",
    isThere: await requireEngine("fake-gcs-server", fakeGcsIsThere),
    start: async () => {
      const server = await startFakeGcs();
      const name = await server.bucket();
      const storage = new Storage({
        apiEndpoint: server.endpoint,
        projectId: server.projectId,
        useAuthWithCustomEndpoint: false,
      });
      const bucket = storage.bucket(name);
      return {
        url: (prefix) => server.url(name, prefix),
        put: async (key, bytes) => await bucket.file(key).save(Buffer.from(bytes), { resumable: false }),
        remove: async (key) => await bucket.file(key).delete(),
        [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
      };
    },
  },
];

interface Reading {
  readonly records: unknown[];
  readonly batches: SourceBatch<unknown>[];
  readonly offsets: SourceOffsets;
  readonly error: MementoError | null;
}

async function read(source: Source, from: SourceOffsets = {}, batchRecords = 100): Promise<Reading> {
  const batches: SourceBatch<unknown>[] = [];
  const offsets: Record<string, SourceOffset> = { ...from };
  let error: MementoError | null = null;
  try {
    for await (const batch of source.read({ from, batchRecords, signal: new AbortController().signal })) {
      batches.push(batch);
      offsets[batch.partition] = batch.offset;
    }
  } catch (caught) {
    if (!isMementoError(caught)) throw caught;
    error = caught;
  }
  return { records: batches.flatMap(({ records }) => records), batches, offsets, error };
}

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const lines = (from: number, to: number): string =>
  numbers(from, to)
    .map((id) => `${id}\n`)
    .join("");

for (const { name, isThere, start } of services) {
  describe.skipIf(!isThere)(`objectFiles() on ${name}`, () => {
    let place: Place;
    beforeAll(async () => {
      place = await start();
    });
    afterAll(async () => {
      await place[Symbol.asyncDispose]();
    });

    async function inbox(prefix: string): Promise<Source> {
      await place.put(`${prefix}/a.jsonl`, lines(1, 300));
      await place.put(`${prefix}/b/1.jsonl.gz`, zlib.gzipSync(lines(301, 900)));
      await place.put(`${prefix}/b/2.json`, JSON.stringify(numbers(901, 1000)));
      await place.put(`${prefix}/.hidden.jsonl`, lines(0, 0));
      await place.put(`${prefix}-beside/x.jsonl`, lines(0, 0));
      return objectFiles({ url: place.url(prefix) });
    }

    test("reads all objects under a prefix, goes on after every batch, and picks up new ones", async () => {
      const source = await inbox("all");
      const signal = new AbortController().signal;
      await source.open({ name: "in", clock: new ManualClock(), signal });
      const whole = await read(source);
      expect(whole).toMatchObject({ error: null, records: numbers(1, 1000) });
      const from: Record<string, SourceOffset> = {};
      let count = 0;
      for (const { partition, offset, records } of whole.batches) {
        from[partition] = offset;
        count += records.length;
        expect(await read(source, from, 150)).toMatchObject({ error: null, records: numbers(count + 1, 1000) });
        const between = { available: true, problem: "", recordsBetween: 1000 - count };
        expect(await source.inspect(from, whole.offsets)).toEqual(between);
      }
      await place.put("all/a0.jsonl", lines(1001, 1002));
      expect(await read(source, whole.offsets)).toMatchObject({ error: null, records: [1001, 1002] });
      await place.remove("all/b/2.json");
      expect(await read(source, whole.offsets)).toMatchObject({ error: null, records: [1001, 1002] });
      expect(await source.inspect({}, whole.offsets)).toMatchObject({ available: false, recordsBetween: 1000 });
      await source.close();
    });

    test("refuses an object that was written anew, also while it is read", async () => {
      const source = await inbox("changed");
      const whole = await read(source);
      await place.put("changed/b/1.jsonl.gz", zlib.gzipSync(lines(301, 901)));
      const { error } = await read(source, whole.offsets);
      expect(error).toMatchObject({ code: "SOURCE_MOVED" });
      expect(error?.message).toContain("b/1.jsonl.gz");
      expect(await source.inspect(whole.offsets, whole.offsets)).toMatchObject({ available: false });

      const large = `${"x".repeat(99)}\n`.repeat(140_000);
      await place.put("large/a.csv", large);
      const slow = objectFiles({ url: place.url("large") });
      const reading = async (): Promise<number> => {
        let records = 0;
        const signal = new AbortController().signal;
        for await (const batch of slow.read({ from: {}, batchRecords: 1000, signal })) {
          if (records === 0) await place.put("large/a.csv", large.replaceAll("x", "y"));
          records += batch.records.length;
          for (const record of batch.records) expect(Object.values(record as object)[0]).toMatch(/^x+$/u);
        }
        return records;
      };
      await expect(reading()).rejects.toMatchObject({ code: "SOURCE_MOVED" });
    });

    test("refuses an empty object whose name says that it is compressed, as a folder does", async () => {
      await place.put("cut/a.jsonl.gz", "");
      await place.put("cut/b.jsonl", "");
      await place.put("cut/c.jsonl.gz", zlib.gzipSync(lines(1, 2)));
      const { error, records } = await read(objectFiles({ url: place.url("cut") }));
      expect(records).toEqual([]);
      expect(error).toMatchObject({ code: "INPUT_CUT" });
      expect(error?.message).toContain("a.jsonl.gz");
    });

    test("reads 20 MB of lines whole, in pieces", async () => {
      const count = 200_000;
      const text = Array.from({ length: count }, (_, id) => `{"id":${id},"text":"${"é".repeat(40)}"}\n`).join("");
      await place.put("much/a.txt", text);
      const source = objectFiles<{ id: number }>({
        url: place.url("much"),
        files: "*.txt",
        read: (path) => jsonlFile({ path }),
      });
      let next = 0;
      const signal = new AbortController().signal;
      for await (const { records } of source.read({ from: {}, batchRecords: 5000, signal }))
        for (const { id } of records) if (id === next) next += 1;
      expect(next).toBe(count);
    });
  });
}

describe("objectFiles()", () => {
  test("refuses what is no URL of objects", () => {
    for (const url of ["http://x/y", "s3://u:hunter2@x/y", "azure://only", "gs://x?key=hunter2"]) {
      let message = "";
      try {
        objectFiles({ url });
      } catch (error) {
        expect(error).toMatchObject({ code: "INVALID_ARGUMENT" });
        ({ message } = error as Error);
      }
      expect(message).not.toBe("");
      expect(message).not.toContain("hunter2");
    }
  });
});
