import { Readable } from "node:stream";

import type { Bucket, File } from "@google-cloud/storage";

import type { BlobPort } from "../blobs/blob-port.ts";
import { createSettled } from "../blobs/create-settled.ts";
import { bytesIn, oneOf, piecesOf, readAll } from "../blobs/object-bytes.ts";
import type { Requests } from "../blobs/requests.ts";
import { gcsFailure, saysNoBucket } from "./errors.ts";

/** What `GcsBlobs` is made of. */
export interface GcsBlobsOptions {
  readonly bucket: Bucket;
  readonly requests: Requests;
  /** Names that are asked for at once; 1,000 by default, the most that Google gives. */
  readonly pageNamesMax?: number | undefined;
}

/** A larger blob goes out piece by piece, as fast as the line takes it. */
const PIECE_BYTES = 2 ** 20;

const CONTENT_TYPE = "application/octet-stream";

interface Condition {
  readonly ifGenerationMatch?: 0;
}

/** An answer as its headers have come; its body is still to be read. */
export interface Answer extends AsyncIterable<Uint8Array> {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  destroy(reason?: Error): unknown;
}

interface Page {
  readonly names: readonly string[];
  readonly token: string | undefined;
}

/** What a listing answers. */
interface Listing {
  readonly items?: readonly { readonly name: string }[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

/** Blobs in a bucket. Create-if-absent is an upload in one request with `ifGenerationMatch=0`; no other condition is used. */
export class GcsBlobs implements BlobPort {
  readonly #bucket: Bucket;
  readonly #requests: Requests;
  readonly #pageNamesMax: number;
  #bucketIsThere = false;

  constructor({ bucket, requests, pageNamesMax = 1_000 }: GcsBlobsOptions) {
    this.#bucket = bucket;
    this.#requests = requests;
    this.#pageNamesMax = pageNamesMax;
  }

  async read(key: string): Promise<Uint8Array | null> {
    const doing = `read the blob ${key}`;
    const bytes = await this.#requests.send(doing, async ({ signal, alive }) => {
      const answer = await answerOf(this.#file(key, 0));
      const giveUp = (): unknown => answer.destroy(signal.reason as Error);
      signal.addEventListener("abort", giveUp, { once: true });
      const told = Number(answer.headers["content-length"] ?? Number.NaN);
      const body = await readAll(answer, Number.isNaN(told) ? null : told, alive);
      if (answer.statusCode === 200) return body;
      const message = Buffer.from(body).toString("utf8");
      if (answer.statusCode === 404 && !saysNoBucket(message)) return null;
      throw gcsFailure(Object.assign(new Error(message), { code: answer.statusCode }), doing, "blob");
    });
    if (bytes === null) await this.#demandBucket();
    return bytes;
  }

  async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    return await createSettled({
      parts,
      create: () => this.#write(key, parts, { ifGenerationMatch: 0 }),
      read: () => this.read(key),
    });
  }

  async replace(key: string, parts: readonly Uint8Array[]): Promise<void> {
    await this.#write(key, parts, {});
  }

  async replaceAndWipe(key: string, parts: readonly Uint8Array[]): Promise<void> {
    await this.replace(key, parts);
  }

  async hasLeftovers(): Promise<boolean> {
    return false;
  }

  async remove(key: string): Promise<void> {
    const doing = `remove the blob ${key}`;
    await this.#requests.send(doing, async () => {
      try {
        await this.#file(key, 0).delete();
      } catch (error) {
        const failure = gcsFailure(error, doing, "blob");
        if (failure.details["status"] !== 404 || failure.code === "PLACE_MISSING") throw failure;
      }
    });
  }

  async *list(folder: string, after?: string): AsyncIterable<string> {
    const prefix = folder === "" ? "" : `${folder}/`;
    let token: string | undefined;
    let before = new Set<string>();
    do {
      const page = await this.#page(prefix, after, token);
      const names = new Set(page.names);
      // A folder that goes on over the end of a page may be named by both.
      for (const name of names) if (!before.has(name)) yield name;
      before = names;
      token = page.token;
    } while (token !== undefined && token !== "");
  }

  async ensureFolder(): Promise<void> {}

  async ensureFolders(): Promise<void> {}

  async settle(): Promise<void> {}

  async #page(prefix: string, after: string | undefined, token: string | undefined): Promise<Page> {
    const doing = `list the blobs ${prefix}`;
    return await this.#requests.send(doing, async () => {
      try {
        const [, , answer] = await this.#bucket.getFiles({
          prefix,
          delimiter: "/",
          autoPaginate: false,
          maxResults: this.#pageNamesMax,
          fields: "nextPageToken,prefixes,items/name",
          ...(after === undefined ? {} : { startOffset: `${prefix}${after}` }),
          ...(token === undefined ? {} : { pageToken: token }),
        });
        const { items = [], prefixes = [], nextPageToken } = answer as Listing;
        const names = [...items.map(({ name }) => name), ...prefixes.map((name) => name.slice(0, -1))];
        this.#bucketIsThere = true;
        return { names: names.map((name) => name.slice(prefix.length)), token: nextPageToken };
      } catch (error) {
        throw gcsFailure(error, doing, "bucket");
      }
    });
  }

  /** A blob that is not there can be one of a bucket that is not: the status is the same. Asked once. */
  async #demandBucket(): Promise<void> {
    if (this.#bucketIsThere) return;
    const doing = `find the bucket ${this.#bucket.name}`;
    await this.#requests.send(doing, async () => {
      try {
        await this.#bucket.getFiles({ autoPaginate: false, maxResults: 1, fields: "items/name" });
      } catch (error) {
        throw gcsFailure(error, doing, "bucket");
      }
    });
    this.#bucketIsThere = true;
  }

  /** Writes a blob; false when the condition refused it. */
  async #write(key: string, parts: readonly Uint8Array[], condition: Condition): Promise<boolean> {
    const bytes = bytesIn(parts);
    const doing = `write the blob ${key}`;
    const upload = async (): Promise<boolean> => {
      const file = this.#file(key, bytes);
      try {
        if (bytes > PIECE_BYTES) await uploadInPieces(file, parts, condition);
        else await uploadAtOnce(file, oneOf(parts), condition);
        return true;
      } catch (error) {
        const failure = gcsFailure(error, doing, "bucket");
        if (failure.details["status"] === 412) return false;
        throw failure;
      }
    };
    return await this.#requests.send(doing, upload, bytes);
  }

  /** A blob whose requests end after the time that so many bytes are given. */
  #file(key: string, bytes: number): File {
    const file = this.#bucket.file(key);
    const timeout = this.#requests.patienceMs(bytes);
    const interceptor = { request: (options: object) => Object.assign(options, { timeout }) };
    file.interceptors.push(interceptor as File["interceptors"][number]);
    return file;
  }
}

/** Half of the work that the client's `save` makes of a small body. */
async function uploadAtOnce(file: File, body: Uint8Array, condition: Condition): Promise<void> {
  await file.request({
    method: "POST",
    uri: `${file.storage.apiEndpoint}/upload/storage/v1/b/${encodeURIComponent(file.bucket.name)}/o`,
    qs: { uploadType: "media", name: file.name, fields: "generation", ...condition },
    headers: { "Content-Type": CONTENT_TYPE },
    body: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
  });
}

/** The client's own checksum is taken by slow code, and a mismatch would make it delete the blob: packs have their own. */
async function uploadInPieces(file: File, parts: readonly Uint8Array[], condition: Condition): Promise<void> {
  const pieces = Readable.from(piecesOf(parts, PIECE_BYTES), { objectMode: false });
  const options = { resumable: false, validation: false, contentType: CONTENT_TYPE, preconditionOpts: condition };
  await file.save(pieces, options);
}

/** Asks for a blob's bytes. The client's own `download` can end the process when the connection is cut in an error's text. */
export async function answerOf(file: File, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const stream = file.requestStream({ uri: "", qs: { alt: "media" }, headers: { ...headers } });
    stream.on("error", reject);
    stream.on("response", (answer) => resolve(answer as unknown as Answer));
    stream.resume();
  });
}
