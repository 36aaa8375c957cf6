import type * as Sdk from "@aws-sdk/client-s3";
import type { CompletedPart, S3Client } from "@aws-sdk/client-s3";

import { piecesOf } from "../blobs/object-bytes.ts";
import { inOrder } from "../blobs/turns.ts";

/** An object that is sent in parts. */
export interface LargeObject {
  readonly Bucket: string;
  readonly Key: string;
  /** "*": only where there is none, looked at when the parts are put together. */
  readonly IfNoneMatch?: "*";
}

/** The smallest that S3 takes is 5 MB; 10,000 parts of this are 80 GB. */
const PART_BYTES = 8 * 2 ** 20;
const PARTS_AT_ONCE = 4;
/** Said when an upload begins, or some servers do not know its parts again. */
const ChecksumAlgorithm = "CRC32";

/** Sends an object in parts, four at once; nothing is there before the last one is, and nothing stays of an upload that fails. */
export async function putInParts(
  sdk: typeof Sdk,
  client: S3Client,
  object: LargeObject,
  parts: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<void> {
  const { Bucket, Key } = object;
  const options = { abortSignal: signal };
  const { UploadId } = await client.send(
    new sdk.CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm }),
    options,
  );
  const upload = { Bucket, Key, UploadId };
  try {
    const send = async (piece: Uint8Array, PartNumber: number): Promise<CompletedPart> => {
      const part = new sdk.UploadPartCommand({ ...upload, PartNumber, Body: piece, ChecksumAlgorithm });
      const { ETag, ChecksumCRC32 } = await client.send(part, options);
      return { PartNumber, ETag, ChecksumCRC32 };
    };
    let number = 0;
    const sending = inOrder(piecesOf(parts, PART_BYTES), PARTS_AT_ONCE, (piece) => send(piece, (number += 1)));
    const sent = await Array.fromAsync(sending);
    const completed = { ...object, UploadId, MultipartUpload: { Parts: sent } };
    await client.send(new sdk.CompleteMultipartUploadCommand(completed), options);
  } catch (error) {
    await forget(sdk, client, upload, error);
    throw error;
  }
}

/** Takes back the parts of an upload that failed; where that fails too, the bucket's own rule for incomplete uploads is left. */
async function forget(
  sdk: typeof Sdk,
  client: S3Client,
  upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string | undefined },
  error: unknown,
): Promise<void> {
  try {
    await client.send(new sdk.AbortMultipartUploadCommand(upload), { abortSignal: AbortSignal.timeout(5_000) });
  } catch (second) {
    // The first error says what is wrong.
    if (error instanceof Error && error.cause === undefined) error.cause = second;
  }
}
