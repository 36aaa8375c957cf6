import type * as Sdk from "@aws-sdk/client-s3";
import type { S3Client } from "@aws-sdk/client-s3";

import { isMementoError, type MementoError } from "../../core/errors.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { BlobPort } from "../blobs/blob-port.ts";
import { hasBytes } from "../blobs/create-settled.ts";
import { bytesIn, oneOf, readAll } from "../blobs/object-bytes.ts";
import { Requests, type Attempt } from "../blobs/requests.ts";
import { s3UrlOf, type S3Address } from "./address.ts";
import { failureOf, s3Error, type S3Failure } from "./errors.ts";
import { putInParts } from "./multipart.ts";

/** What the blobs of a bucket are reached by. */
export interface S3BlobsOptions {
  readonly sdk: typeof Sdk;
  readonly client: S3Client;
  readonly address: S3Address;
  /** A request's time with all of the SDK's repeats, in milliseconds; a second more for each MB that it sends, and as long for each piece of an object. */
  readonly requestMsMax: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** Larger blobs are sent in parts. */
const SINGLE_BYTES_MAX = 8 * 2 ** 20;
/** A slow line's 1 MB a second. */
const BYTES_A_MS = 1_000;
/** Servers answer 409 where two create at once; one of them is through soon. */
const CONFLICTS_MAX = 10;
const CONFLICT_PAUSE_MS = 20;
/** How often an object is asked for whose bytes do not come to their end. */
const READS_MAX = 4;

const NOBODY = new Set(["NoSuchKey", "NotFound"]);
const CONFLICTS = new Set(["ConditionalRequestConflict", "OperationAborted"]);

/** The blobs of one bucket. Creation is a PUT with `If-None-Match: *`, in parts too; no other condition is used. */
export class S3Blobs implements BlobPort {
  readonly #sdk: typeof Sdk;
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #url: string;
  readonly #requestMsMax: number;
  readonly #clock: Clock;
  readonly #reads: Requests;

  constructor({ sdk, client, address, requestMsMax, clock, random }: S3BlobsOptions) {
    this.#sdk = sdk;
    this.#client = client;
    this.#bucket = address.bucket;
    this.#url = s3UrlOf(address);
    this.#requestMsMax = requestMsMax;
    this.#clock = clock;
    const bounds = { attemptsMax: 1, silenceMsMax: requestMsMax };
    this.#reads = new Requests({
      clock,
      random,
      bounds,
      failureOf: (error, doing) => s3Error(failureOf(error), doing),
    });
  }

  async read(key: string): Promise<Uint8Array | null> {
    for (let attempt = 1; ; attempt++) {
      let isAnswered = false;
      const ask: Attempt<Uint8Array | null> = async ({ signal, alive }) => {
        const answer = await this.#get(key, signal);
        if (answer === null) return null;
        isAnswered = true;
        alive();
        const { Body, ContentLength = null } = answer;
        return await readAll((Body ?? []) as AsyncIterable<Uint8Array>, ContentLength, alive);
      };
      try {
        return await this.#reads.send(`read ${key} of ${this.#url}`, ask);
      } catch (error) {
        // The SDK repeats a request until it is answered, and not one whose answer was cut.
        if (!isAnswered || attempt === READS_MAX || !isMementoError(error, "STORE_UNREACHABLE")) throw error;
      }
    }
  }

  async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    let mayBeDone = false;
    for (let attempt = 0; ; attempt++) {
      const failure = await this.#put(key, parts, "*");
      if (failure === null) return true;
      // The SDK repeats what had no answer: then what lies there may be our own.
      mayBeDone ||= failure.attempts > 1 || failure.name === "NoSuchUpload";
      if (failure.status === 412) return mayBeDone && (await this.#holds(key, parts));
      if (!CONFLICTS.has(failure.name) || attempt === CONFLICTS_MAX) {
        const error = this.#error(failure, "write", key);
        const isLost = mayBeDone || isMementoError(error, "STORE_UNREACHABLE");
        if (isLost && (await this.#holds(key, parts))) return true;
        throw error;
      }
      await this.#clock.sleep(CONFLICT_PAUSE_MS * (attempt + 1));
    }
  }

  async replace(key: string, parts: readonly Uint8Array[]): Promise<void> {
    const failure = await this.#put(key, parts);
    if (failure === null) return;
    if (failure.name === "NoSuchUpload" && (await this.#holds(key, parts))) return;
    throw this.#error(failure, "write", key);
  }

  /** Old versions stay where a bucket keeps versions: only its owner's rule takes them away. */
  async replaceAndWipe(key: string, parts: readonly Uint8Array[]): Promise<void> {
    await this.replace(key, parts);
  }

  async hasLeftovers(): Promise<boolean> {
    return false;
  }

  async remove(key: string): Promise<void> {
    try {
      await this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket: this.#bucket, Key: key }), this.#within(0));
    } catch (error) {
      const failure = failureOf(error);
      if (!NOBODY.has(failure.name)) throw this.#error(failure, "remove", key);
    }
  }

  async *list(folder: string, after?: string): AsyncIterable<string> {
    const prefix = `${folder}/`;
    let token: string | undefined;
    do {
      const page = await this.#page(prefix, after === undefined ? undefined : `${prefix}${after}`, token);
      yield* page.names;
      token = page.next;
    } while (token !== undefined);
  }

  async ensureFolder(): Promise<void> {}

  async ensureFolders(): Promise<void> {}

  async settle(): Promise<void> {}

  /** What the server calls itself, as "AmazonS3"; null where it does not say. Asks for the bucket. */
  async serverName(): Promise<string | null> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: this.#bucket });
    let name: string | null = null;
    command.middlewareStack.add(
      (next) => async (request) => {
        const result = await next(request);
        const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> };
        name = headers?.["server"] ?? null;
        return result;
      },
      { step: "deserialize" },
    );
    try {
      await this.#client.send(command, this.#within(0));
      return name;
    } catch (error) {
      const failure = failureOf(error);
      // This request's answers have no body, so a bucket that is not there has no name of its own.
      throw this.#error(
        failure.status === 404 ? { ...failure, name: "NoSuchBucket" } : failure,
        "look at",
        "the bucket",
      );
    }
  }

  /** The answer to a question for an object, as its headers have come; null when there is none. */
  async #get(key: string, abortSignal: AbortSignal): Promise<Sdk.GetObjectCommandOutput | null> {
    try {
      return await this.#client.send(new this.#sdk.GetObjectCommand({ Bucket: this.#bucket, Key: key }), {
        abortSignal,
      });
    } catch (error) {
      if (NOBODY.has(failureOf(error).name)) return null;
      throw error;
    }
  }

  async #page(
    Prefix: string,
    StartAfter: string | undefined,
    ContinuationToken: string | undefined,
  ): Promise<{ readonly names: readonly string[]; readonly next: string | undefined }> {
    const command = new this.#sdk.ListObjectsV2Command({
      Bucket: this.#bucket,
      Prefix,
      Delimiter: "/",
      ...(StartAfter === undefined ? {} : { StartAfter }),
      ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
    });
    try {
      const {
        Contents = [],
        CommonPrefixes = [],
        IsTruncated,
        NextContinuationToken,
      } = await this.#client.send(command, this.#within(0));
      const blobs = Contents.map(({ Key = "" }) => Key.slice(Prefix.length));
      const folders = CommonPrefixes.map((folder) => (folder.Prefix ?? "").slice(Prefix.length, -1));
      const names = [...blobs, ...folders].filter((name) => name !== "");
      return { names, next: IsTruncated === true ? NextContinuationToken : undefined };
    } catch (error) {
      throw this.#error(failureOf(error), "list", Prefix);
    }
  }

  /** Writes an object; gives what went wrong, or null. */
  async #put(key: string, parts: readonly Uint8Array[], condition?: "*"): Promise<S3Failure | null> {
    const bytes = bytesIn(parts);
    const object = {
      Bucket: this.#bucket,
      Key: key,
      ...(condition === undefined ? {} : { IfNoneMatch: condition }),
    };
    const options = this.#within(bytes);
    try {
      if (bytes > SINGLE_BYTES_MAX) await putInParts(this.#sdk, this.#client, object, parts, options.abortSignal);
      else await this.#client.send(new this.#sdk.PutObjectCommand({ ...object, Body: oneOf(parts) }), options);
      return null;
    } catch (error) {
      return failureOf(error);
    }
  }

  /** True when an object has exactly these bytes. */
  async #holds(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const there = await this.read(key);
    return there !== null && hasBytes(there, parts);
  }

  /** No request is waited for without an end. */
  #within(bytes: number): { readonly abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(this.#requestMsMax + Math.ceil(bytes / BYTES_A_MS)) };
  }

  #error(failure: S3Failure, doing: string, key: string): MementoError {
    return s3Error(failure, `${doing} ${key} of ${this.#url}`);
  }
}
