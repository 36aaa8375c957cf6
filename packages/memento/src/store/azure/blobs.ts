import type { ContainerClient, ContainerListBlobHierarchySegmentResponse } from "@azure/storage-blob";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { BlobPort } from "../blobs/blob-port.ts";
import { createSettled, hasBytes } from "../blobs/create-settled.ts";
import { bytesIn, oneOf, piecesOf, readAll } from "../blobs/object-bytes.ts";
import type { Requests } from "../blobs/requests.ts";

/** What `AzureBlobs` is made of. */
export interface AzureBlobsOptions {
  readonly container: ContainerClient;
  readonly requests: Requests;
  readonly random: Random;
  /** Names that are asked for at once; 5,000 by default, the most that Azure gives. */
  readonly pageNamesMax?: number | undefined;
  /** A larger blob is sent in blocks of this size, which are put together by one more request; 8 MiB by default. */
  readonly blockBytes?: number | undefined;
}

const BLOCKS_AT_ONCE = 4;
const REPLACEMENTS_MAX = 10;
const NOBODYS = { conditions: { ifNoneMatch: "*" } } as const;

/** Blobs in a container. Create-if-absent is `If-None-Match: *`, which Azure answers with 409 (or 412) where the key is taken. */
export class AzureBlobs implements BlobPort {
  readonly #container: ContainerClient;
  readonly #requests: Requests;
  readonly #random: Random;
  readonly #pageNamesMax: number;
  readonly #blockBytes: number;

  constructor({ container, requests, random, pageNamesMax = 5_000, blockBytes = 8 * 2 ** 20 }: AzureBlobsOptions) {
    this.#container = container;
    this.#requests = requests;
    this.#random = random;
    this.#pageNamesMax = pageNamesMax;
    this.#blockBytes = blockBytes;
  }

  async read(key: string): Promise<Uint8Array | null> {
    return await this.#requests.send(`read the blob ${key}`, async ({ signal, alive }) => {
      const answer = await unless(["BlobNotFound"], null, () =>
        this.#container.getBlobClient(key).download(0, undefined, { abortSignal: signal }),
      );
      if (answer === null) return null;
      const { readableStreamBody: stream, contentLength } = answer;
      if (stream === undefined) return new Uint8Array();
      return await readAll(stream as AsyncIterable<Uint8Array>, contentLength ?? null, alive);
    });
  }

  async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    return await createSettled({
      parts,
      create: () => this.#write(key, parts, NOBODYS),
      read: () => this.read(key),
    });
  }

  async replace(key: string, parts: readonly Uint8Array[]): Promise<void> {
    for (let attempt = 0; attempt < REPLACEMENTS_MAX; attempt++) {
      if (await this.#write(key, parts, {})) return;
      // The blocks were put together by a request whose answer was lost, or thrown away by another writer's: look which.
      const there = await this.read(key);
      if (there !== null && hasBytes(there, parts)) return;
    }
    throw new MementoError("LOCKED", `Others write the blob ${key} all the time`);
  }

  async replaceAndWipe(key: string, parts: readonly Uint8Array[]): Promise<void> {
    await this.replace(key, parts);
  }

  async hasLeftovers(): Promise<boolean> {
    return false;
  }

  async remove(key: string): Promise<void> {
    await this.#requests.send(`remove the blob ${key}`, async ({ signal }) => {
      await unless(["BlobNotFound"], null, () =>
        this.#container.getBlobClient(key).delete({ abortSignal: signal, deleteSnapshots: "include" }),
      );
    });
  }

  /** Always from the beginning: the service cannot begin behind a name. */
  async *list(folder: string): AsyncIterable<string> {
    const prefix = folder === "" ? "" : `${folder}/`;
    let token: string | undefined;
    let before = new Set<string>();
    do {
      const page = await this.#page(prefix, token);
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

  async #page(
    prefix: string,
    token: string | undefined,
  ): Promise<{ readonly names: readonly string[]; readonly token: string | undefined }> {
    return await this.#requests.send(`list the blobs ${prefix}`, async ({ signal }) => {
      const settings = {
        maxPageSize: this.#pageNamesMax,
        ...(token === undefined ? {} : { continuationToken: token }),
      };
      const pages = this.#container.listBlobsByHierarchy("/", { prefix, abortSignal: signal }).byPage(settings);
      const { value: page } = (await pages.next()) as { readonly value: ContainerListBlobHierarchySegmentResponse };
      const { blobItems, blobPrefixes = [] } = page.segment;
      const names = [...blobItems.map(({ name }) => name), ...blobPrefixes.map(({ name }) => name.slice(0, -1))];
      return { names: names.map((name) => name.slice(prefix.length)), token: page.continuationToken };
    });
  }

  /** Writes a blob. False when the condition refused it, or when its blocks were put together before. */
  async #write(key: string, parts: readonly Uint8Array[], condition: object): Promise<boolean> {
    const bytes = bytesIn(parts);
    if (bytes > this.#blockBytes) return await this.#writeBlocks(key, parts, condition);
    const body = oneOf(parts);
    const blob = this.#container.getBlockBlobClient(key);
    const upload = async ({ signal }: { readonly signal: AbortSignal }): Promise<boolean> =>
      await unless(["BlobAlreadyExists", "ConditionNotMet"], false, async () => {
        await blob.upload(body, bytes, { ...condition, abortSignal: signal });
        return true;
      });
    return await this.#requests.send(`write the blob ${key}`, upload, bytes);
  }

  /** Sends blocks, which nobody sees, and then their list: the blob is there with that one request. */
  async #writeBlocks(key: string, parts: readonly Uint8Array[], condition: object): Promise<boolean> {
    const blob = this.#container.getBlockBlobClient(key);
    // Blocks of several writers lie side by side until one of them is done: the names are this writer's own.
    const writer = randomText(this.#random, 16);
    const ids: string[] = [];
    const pieces = piecesOf(parts, this.#blockBytes);
    const sendPieces = async (): Promise<void> => {
      try {
        for (const piece of pieces) {
          const id = Buffer.from(`${writer}-${String(ids.length).padStart(6, "0")}`).toString("base64");
          ids.push(id);
          await this.#sendBlock(key, id, piece);
        }
      } finally {
        // Nobody goes on where one has failed.
        pieces.return(undefined);
      }
    };
    // All take from the one generator, so each piece is sent by one of them.
    await Promise.all(Array.from({ length: BLOCKS_AT_ONCE }, sendPieces));
    return await this.#requests.send(`write the blob ${key}`, ({ signal }) =>
      unless(["BlobAlreadyExists", "ConditionNotMet", "InvalidBlockList"], false, async () => {
        await blob.commitBlockList(ids, { ...condition, abortSignal: signal });
        return true;
      }),
    );
  }

  async #sendBlock(key: string, id: string, piece: Uint8Array): Promise<void> {
    const blob = this.#container.getBlockBlobClient(key);
    const bytes = piece.byteLength;
    const send = async ({ signal }: { readonly signal: AbortSignal }): Promise<void> => {
      await blob.stageBlock(id, piece, bytes, { abortSignal: signal });
    };
    await this.#requests.send(`write a block of the blob ${key}`, send, bytes);
  }
}

/** What a call gives, or `otherwise` where the service answers with one of these codes. */
async function unless<T, N>(codes: readonly string[], otherwise: N, call: () => Promise<T>): Promise<T | N> {
  try {
    return await call();
  } catch (error) {
    if (!isMementoError(error) && error instanceof Error && "code" in error && codes.includes(String(error.code)))
      return otherwise;
    throw error;
  }
}
