import type * as Sdk from "@aws-sdk/client-s3";
import type { S3Client } from "@aws-sdk/client-s3";

import type { Clock } from "../../../core/ports.ts";
import { readAll } from "../../../store/blobs/object-bytes.ts";
import { loadPeer } from "../../../store/optional-peer.ts";
import { readS3Url, s3UrlOf } from "../../../store/s3/address.ts";
import { failureOf, s3Error } from "../../../store/s3/errors.ts";
import { newClient } from "../../../store/s3/store.ts";
import { type BucketPlace, changedObject, type ObjectBucket, readingRequests } from "./bucket.ts";

/** The place that an `s3:` URL names. A client that is handed in stays open. */
export function s3Place(url: string, client?: S3Client): BucketPlace {
  const address = readS3Url(url);
  const Bucket = address.bucket;
  const shown = s3UrlOf(address);
  const open = async (clock: Clock): Promise<ObjectBucket> => {
    const sdk = await loadPeer<typeof Sdk>("@aws-sdk/client-s3", "^3.700.0", "A source of objects in S3");
    const own = client ?? newClient(sdk, address);
    const requests = readingRequests(clock, (error, doing) => s3Error(failureOf(error), doing));
    return {
      page: async (Prefix, token) =>
        await requests.send(`list the objects of ${shown}`, async ({ signal }) => {
          const more = token === undefined ? {} : { ContinuationToken: token };
          const command = new sdk.ListObjectsV2Command({ Bucket, Prefix, ...more });
          const {
            Contents = [],
            IsTruncated,
            NextContinuationToken,
          } = await own.send(command, { abortSignal: signal });
          const objects = Contents.map(({ Key = "", Size = 0, ETag = "" }) => ({ key: Key, bytes: Size, tag: ETag }));
          return { objects, next: IsTruncated === true ? NextContinuationToken : undefined };
        }),
      range: async (object, start, end) =>
        await requests.send(`read the object ${object.key} of ${shown}`, async ({ signal, alive }) => {
          const wanted = { Bucket, Key: object.key, Range: `bytes=${start}-${end - 1}`, IfMatch: object.tag };
          try {
            const { Body } = await own.send(new sdk.GetObjectCommand(wanted), { abortSignal: signal });
            return await readAll(Body as AsyncIterable<Uint8Array>, end - start, alive);
          } catch (error) {
            const { status, name } = failureOf(error);
            if (status === 412 || status === 416 || name === "NoSuchKey") throw changedObject(object);
            throw error;
          }
        }),
      close: async () => {
        if (client === undefined) own.destroy();
        await Promise.resolve();
      },
    };
  };
  return { prefix: address.prefix === "" ? "" : `${address.prefix}/`, shown, open };
}
