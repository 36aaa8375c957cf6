// The floor under the stores on object stores: one PUT and one GET a value, by the services' own clients at their defaults.
import { GetObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { BlobServiceClient, StorageSharedKeyCredential } from "@azure/storage-blob";
import { Storage } from "@google-cloud/storage";

import type { BareStore } from "./store-engine.ts";

/** Where a store's URL points: `scheme://first/path?endpoint=...`. */
function placeOf(url: string): { readonly first: string; readonly path: string; readonly endpoint: string } {
  const { host, pathname, searchParams } = new URL(url);
  return { first: host, path: pathname.slice(1), endpoint: searchParams.get("endpoint") ?? "" };
}

/** Objects of an S3 bucket; credentials come from the environment. */
export async function bareS3(url: string): Promise<BareStore> {
  const { first: Bucket, endpoint } = placeOf(url);
  const client = new S3Client({ endpoint, forcePathStyle: true });
  return {
    put: async (key, Body) => {
      await client.send(new PutObjectCommand({ Bucket, Key: `bare/${key}`, Body }));
    },
    get: async (key) => {
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: `bare/${key}` }));
      return Buffer.from((await Body?.transformToByteArray()) ?? []);
    },
    [Symbol.asyncDispose]: async () => client.destroy(),
  };
}

/** Blobs of an Azure container; the key comes from the environment. */
export async function bareAzure(url: string): Promise<BareStore> {
  const { first: account, path, endpoint } = placeOf(url);
  const credential = new StorageSharedKeyCredential(account, process.env["AZURE_STORAGE_KEY"] ?? "");
  const container = new BlobServiceClient(endpoint, credential).getContainerClient(path.split("/")[0] ?? "");
  return {
    put: async (key, bytes) => {
      await container.getBlockBlobClient(`bare/${key}`).upload(bytes, bytes.length);
    },
    get: async (key) => await container.getBlockBlobClient(`bare/${key}`).downloadToBuffer(),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** Objects of a bucket of Google Cloud Storage, by simple uploads. */
export async function bareGcs(url: string): Promise<BareStore> {
  const { first, endpoint } = placeOf(url);
  const storage = new Storage({ apiEndpoint: endpoint, projectId: "bench", useAuthWithCustomEndpoint: false });
  const bucket = storage.bucket(first);
  return {
    put: async (key, bytes) => {
      await bucket.file(`bare/${key}`).save(bytes, { resumable: false });
    },
    get: async (key) => {
      const [bytes] = await bucket.file(`bare/${key}`).download();
      return bytes;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
