import { createHash } from "node:crypto";
import { promisify } from "node:util";
import zlib from "node:zlib";

import { guardBytes, sealFrame } from "./frame-seal.ts";
import type { ArchiveItem } from "./items.ts";
import { encodeArchiveHeader, FRAME_CONTENT_BYTES, LAST_FRAME, type ArchiveHeader } from "./layout.ts";
import type { ArchiveSigner } from "./signing.ts";

/** Where a portable file is written to, in order. */
export type ByteSink = (bytes: Uint8Array) => Promise<void>;

const { constants } = zlib;
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** Writes a portable file: header, frames, digest and signature. Memory stays at a few frames. */
export class ArchiveWriter {
  readonly #out: ByteSink;
  readonly #key: Uint8Array | null;
  readonly #signer: ArchiveSigner;
  readonly #headerDigest: Uint8Array;
  readonly #whole = createHash("sha256");
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #frames = 0;
  #bytes = 0;

  private constructor(out: ByteSink, key: Uint8Array | null, signer: ArchiveSigner, header: Uint8Array) {
    this.#out = out;
    this.#key = key;
    this.#signer = signer;
    this.#headerDigest = createHash("sha256").update(header).digest();
  }

  /** Begins a file. `key` is the content key that the header has wrapped; null where the file is not sealed. */
  static async begin(
    out: ByteSink,
    header: ArchiveHeader,
    key: Uint8Array | null,
    signer: ArchiveSigner,
  ): Promise<ArchiveWriter> {
    const bytes = encodeArchiveHeader(header);
    const writer = new ArchiveWriter(out, key, signer, bytes);
    await writer.#write(bytes);
    return writer;
  }

  /** Adds an item and the bytes that belong to it. */
  async add(item: ArchiveItem, ...blobs: readonly Uint8Array[]): Promise<void> {
    const head = Buffer.from(JSON.stringify({ ...item, blobs: blobs.map(({ length }) => length) }), "utf8");
    const length = Buffer.alloc(4);
    length.writeUInt32BE(head.length, 0);
    for (const part of [length, head, ...blobs]) await this.#content(part);
  }

  /** Ends the file; gives its length. */
  async end(): Promise<number> {
    await this.#frame(Buffer.concat(this.#waiting), true);
    const digest = this.#whole.digest();
    const trailer = Buffer.concat([digest, this.#signer.sign(digest)]);
    await this.#out(trailer);
    return this.#bytes + trailer.length;
  }

  async #content(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length;) {
      // A full frame waits until there is more, because the last one is marked.
      if (this.#waitingBytes === FRAME_CONTENT_BYTES) {
        const full = Buffer.concat(this.#waiting);
        this.#waiting = [];
        this.#waitingBytes = 0;
        await this.#frame(full, false);
      }
      const part = bytes.subarray(start, start + FRAME_CONTENT_BYTES - this.#waitingBytes);
      this.#waiting.push(part);
      this.#waitingBytes += part.length;
      start += part.length;
    }
  }

  async #frame(content: Uint8Array, isLast: boolean): Promise<void> {
    const packed = await promisify(zlib.zstdCompress)(content, ZSTD);
    const length = packed.length + guardBytes(this.#key);
    const word = Buffer.alloc(4);
    word.writeUInt32BE(isLast ? LAST_FRAME + length : length, 0);
    const place = { headerDigest: this.#headerDigest, index: this.#frames, word };
    this.#frames += 1;
    await this.#write(Buffer.concat([word, sealFrame(packed, this.#key, place)]));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#whole.update(bytes);
    this.#bytes += bytes.length;
    await this.#out(bytes);
  }
}
