import type { CompletedPart, S3Client } from "@aws-sdk/client-s3";

import { concurrently } from "../blobs/turns.ts";

type Sdk = typeof import("@aws-sdk/client-s3");

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

/** Sends an object in parts, four at once; nothing is there before the last one is, and nothing stays of an upload that fails. */
export async function putInParts(
  sdk: Sdk,
  client: S3Client,
  object: LargeObject,
  parts: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<void> {
  const { Bucket, Key } = object;
  const options = { abortSignal: signal };
  const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key }), options);
  const upload = { Bucket, Key, UploadId };
  try {
    const pieces = piecesOf(parts).map((piece, index) => ({ piece, PartNumber: index + 1 }));
    const sent = await concurrently(pieces, PARTS_AT_ONCE, async ({ piece, PartNumber }): Promise<CompletedPart> => {
      const part = new sdk.UploadPartCommand({ ...upload, PartNumber, Body: Buffer.concat(piece) });
      const { $metadata, ...digests } = await client.send(part, options);
      return { ...digests, PartNumber };
    });
    const completed = { ...object, UploadId, MultipartUpload: { Parts: sent } };
    await client.send(new sdk.CompleteMultipartUploadCommand(completed), options);
  } catch (error) {
    await forget(sdk, client, upload, error);
    throw error;
  }
}

/** Takes back the parts of an upload that failed; where that fails too, the bucket's own rule for incomplete uploads is left. */
async function forget(
  sdk: Sdk,
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

/** Cuts bytes into pieces of one part each, without a copy of them. */
function piecesOf(parts: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const pieces: Uint8Array[][] = [];
  let room = 0;
  for (const part of parts) {
    for (let offset = 0; offset < part.byteLength;) {
      if (room === 0) {
        pieces.push([]);
        room = PART_BYTES;
      }
      const bytes = part.subarray(offset, offset + room);
      pieces.at(-1)?.push(bytes);
      room -= bytes.byteLength;
      offset += bytes.byteLength;
    }
  }
  return pieces;
}
