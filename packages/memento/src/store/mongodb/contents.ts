import type { Binary, Collection } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { Stowed } from "./documents.ts";

/** A part of bytes that are too large for the document that they belong to. */
export interface ChunkDocument {
  readonly _id: string;
  readonly bytes: Binary | Uint8Array;
  readonly wants: ContentWants;
}

/**
 * For whom chunks were written, so that those of a writer that died are told from those of one that is still at work,
 * without a clock: a place in a timeline is taken once, and by its memento or by another one.
 */
export type ContentWants =
  | { readonly places: readonly { readonly timeline: string; readonly sequence: number; readonly id: string }[] }
  | { readonly commit: number; readonly expectedDigest: string | null };

/** Up to this, bytes stand in the document that they belong to. */
const INLINE_BYTES_MAX = 131_072;
/** A quarter of what a document may have, so that four make a message of fair size. */
const CHUNK_BYTES = 4_194_304;
const CHUNKS_AT_ONCE = 4;

/** Keeps bytes of any size; larger ones in documents of their own, which are written before what names them. */
export class Contents {
  readonly #chunks: Collection<ChunkDocument>;
  readonly #random: Random;
  readonly #maxTimeMS: number;

  constructor(chunks: Collection<ChunkDocument>, random: Random, maxTimeMS: number) {
    this.#chunks = chunks;
    this.#random = random;
    this.#maxTimeMS = maxTimeMS;
  }

  /** Writes bytes where they do not fit into a document, and gives what the document is to have. */
  async stow(bytes: Uint8Array, wants: ContentWants): Promise<Stowed> {
    // The caller may change what it gave once the call is over, and the driver may still be sending then.
    if (bytes.byteLength <= INLINE_BYTES_MAX) return { bytes: Buffer.from(bytes) };
    const name = randomText(this.#random, 20);
    const count = chunkCount(bytes.byteLength);
    for (let first = 0; first < count; first += CHUNKS_AT_ONCE) {
      const documents: ChunkDocument[] = [];
      for (let index = first; index < Math.min(first + CHUNKS_AT_ONCE, count); index++) {
        const chunk = Buffer.from(bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES));
        documents.push({ _id: chunkId(name, index), bytes: chunk, wants });
      }
      await this.#chunks.insertMany(documents, { maxTimeMS: this.#maxTimeMS });
    }
    return { chunks: name, size: bytes.byteLength };
  }

  /** The bytes; null when chunks of them are missing. */
  async fetch(stowed: Stowed): Promise<Uint8Array | null> {
    if ("bytes" in stowed) return bytesOf(stowed.bytes);
    const count = chunkCount(stowed.size);
    const parts: Uint8Array[] = [];
    for (let first = 0; first < count; first += CHUNKS_AT_ONCE) {
      const ids = chunkIds(stowed, first, Math.min(first + CHUNKS_AT_ONCE, count));
      const found = await this.#chunks.find({ _id: { $in: ids } }, { maxTimeMS: this.#maxTimeMS }).toArray();
      const byId = new Map(found.map(({ _id, bytes }) => [_id, bytes]));
      for (const id of ids) {
        const bytes = byId.get(id);
        if (bytes === undefined) return null;
        parts.push(bytesOf(bytes));
      }
    }
    const whole = Buffer.concat(parts);
    return whole.byteLength === stowed.size ? whole : null;
  }

  /** What is left of bytes of which chunks may be missing. */
  async rest(stowed: Stowed): Promise<Uint8Array> {
    if ("bytes" in stowed) return bytesOf(stowed.bytes);
    const ids = chunkIds(stowed, 0, chunkCount(stowed.size));
    const parts: Uint8Array[] = [];
    for (const id of ids) {
      const found = await this.#chunks.findOne({ _id: id }, { maxTimeMS: this.#maxTimeMS });
      if (found !== null) parts.push(bytesOf(found.bytes));
    }
    return Buffer.concat(parts);
  }

  /** How many bytes of chunks are there, of those that should be. */
  async measure(stowed: Stowed): Promise<number> {
    if ("bytes" in stowed) return bytesOf(stowed.bytes).byteLength;
    let size = 0;
    for (const id of chunkIds(stowed, 0, chunkCount(stowed.size))) {
      const found = await this.#chunks.findOne({ _id: id }, { maxTimeMS: this.#maxTimeMS });
      size += found === null ? 0 : bytesOf(found.bytes).byteLength;
    }
    return size;
  }

  /** Deletes the chunks of bytes that nothing names any more. */
  async discard(stowed: Stowed | null): Promise<void> {
    if (stowed === null || "bytes" in stowed) return;
    const ids = chunkIds(stowed, 0, chunkCount(stowed.size));
    await this.#chunks.deleteMany({ _id: { $in: ids } }, { maxTimeMS: this.#maxTimeMS });
  }

  /** Every chunk: the content that it is of, and for whom that was written. */
  async *all(): AsyncIterable<{ readonly id: string; readonly name: string; readonly wants: ContentWants }> {
    const options = { projection: { wants: 1 as const }, maxTimeMS: this.#maxTimeMS };
    for await (const { _id, wants } of this.#chunks.find({}, options)) {
      yield { id: _id, name: _id.slice(0, _id.indexOf("/")), wants };
    }
  }

  /** Deletes one chunk; gives its bytes. */
  async discardChunk(id: string): Promise<number> {
    const found = await this.#chunks.findOneAndDelete({ _id: id }, { maxTimeMS: this.#maxTimeMS });
    return found === null ? 0 : bytesOf(found.bytes).byteLength;
  }
}

/** How many bytes a stowed content has. */
export const sizeOf = (stowed: Stowed): number => ("bytes" in stowed ? bytesOf(stowed.bytes).byteLength : stowed.size);

/** The bytes of a binary field, as bytes of their own. */
export function bytesOf(value: Binary | Uint8Array): Uint8Array {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (value?._bsontype === "Binary") return Buffer.from(value.value());
  throw new MementoError("DAMAGED", "A document has no bytes where bytes belong");
}

const chunkCount = (size: number): number => Math.ceil(size / CHUNK_BYTES);
const chunkId = (name: string, index: number): string => `${name}/${index}`;
const chunkIds = (stowed: { readonly chunks: string }, from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, index) => chunkId(stowed.chunks, from + index));
