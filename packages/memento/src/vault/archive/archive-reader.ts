import { createHash, type Hash } from "node:crypto";
import { promisify } from "node:util";
import zlib from "node:zlib";

import { MementoError } from "../../core/errors.ts";
import { ByteReader } from "./byte-reader.ts";
import { guardBytes, openFrame } from "./frame-seal.ts";
import {
  ARCHIVE_VERSION,
  damaged,
  decodeArchiveHeader,
  DIGEST_BYTES,
  FRAME_BYTES_MAX,
  FRAME_CONTENT_BYTES,
  HEADER_BYTES_MAX,
  LAST_FRAME,
  MAGIC,
  SIGNATURE_BYTES,
  STORE_ARCHIVE_VERSION,
  type ArchiveHeader,
} from "./layout.ts";
import { isSignedBy } from "./signing.ts";

/** Reads a portable file from its beginning, once, with the memory of a few frames. */
export class ArchiveReader {
  readonly header: ArchiveHeader;
  readonly #where: string;
  readonly #input: ByteReader;
  readonly #whole: Hash;
  readonly #headerDigest: Buffer;
  readonly #frameDigests: Buffer[] = [];
  readonly #expected: readonly Buffer[] | null;

  private constructor(
    where: string,
    input: ByteReader,
    start: Uint8Array,
    header: ArchiveHeader,
    before: ArchiveReader | null,
  ) {
    this.header = header;
    this.#where = where;
    this.#input = input;
    this.#whole = createHash("sha256").update(start);
    this.#headerDigest = createHash("sha256").update(start).digest();
    this.#expected = before === null ? null : [before.#headerDigest, ...before.#frameDigests];
    this.#demandSame(0, this.#headerDigest);
  }

  /**
   * Reads the header. DAMAGED for a file that does not begin as one of ours, FORMAT_UNKNOWN for another version; both name
   * `where`. With a reader of before that came to the end: every frame must be the one that it has read.
   */
  static async open(
    bytes: AsyncIterable<Uint8Array>,
    where: string,
    before: ArchiveReader | null = null,
  ): Promise<ArchiveReader> {
    const input = new ByteReader(bytes);
    const start = Buffer.from(await input.take(MAGIC.length + 8));
    if (!start.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(where, "it does not begin as a .memento file");
    if (start.length < MAGIC.length + 8) throw damaged(where, "it is cut in its header");
    const version = start.readUInt32BE(MAGIC.length);
    if (version !== ARCHIVE_VERSION && version !== STORE_ARCHIVE_VERSION) {
      throw new MementoError(
        "FORMAT_UNKNOWN",
        `${where} is a portable file of format version ${version}; this release reads versions ${ARCHIVE_VERSION} and ${STORE_ARCHIVE_VERSION}`,
        { details: { version, file: where } },
      );
    }
    const length = start.readUInt32BE(MAGIC.length + 4);
    if (length > HEADER_BYTES_MAX) throw damaged(where, "its header is too long");
    const text = await input.take(length);
    if (text.length < length) throw damaged(where, "it is cut in its header");
    return new ArchiveReader(where, input, Buffer.concat([start, text]), decodeArchiveHeader(text, where), before);
  }

  /** Bytes of the whole file, once its end was read. */
  get bytes(): number {
    return this.#input.taken;
  }

  /** The content, frame by frame; ends only when digest, signature and end of file are right as well. DAMAGED. */
  async *content(key: Uint8Array | null): AsyncGenerator<Uint8Array> {
    for await (const { sealed, index, word } of this.#frames(guardBytes(key))) {
      const packed = openFrame(sealed, key, { headerDigest: this.#headerDigest, index, word }, this.#where);
      yield await this.#decompress(packed);
    }
    await this.#end();
  }

  /** Reads the file to its end without opening it: its form, its digest and its signature. DAMAGED. */
  async skip(): Promise<void> {
    for await (const _frame of this.#frames(0));
    await this.#end();
  }

  async *#frames(
    bytesMin: number,
  ): AsyncGenerator<{ readonly sealed: Uint8Array; readonly index: number; readonly word: Uint8Array }> {
    for (let index = 0; ; index++) {
      const word = Buffer.from(await this.#exactly(4));
      const value = word.readUInt32BE(0);
      const isLast = value >= LAST_FRAME;
      const length = isLast ? value - LAST_FRAME : value;
      if (length < bytesMin || length > FRAME_BYTES_MAX)
        throw damaged(this.#where, `frame ${index + 1} has no possible length`);
      const sealed = await this.#exactly(length);
      const digest = createHash("sha256").update(word).update(sealed).digest();
      this.#frameDigests.push(digest);
      this.#demandSame(index + 1, digest);
      yield { sealed, index, word };
      if (isLast) return;
    }
  }

  async #end(): Promise<void> {
    const digest = this.#whole.digest();
    const trailer = Buffer.from(await this.#input.take(DIGEST_BYTES + SIGNATURE_BYTES));
    if (trailer.length < DIGEST_BYTES + SIGNATURE_BYTES) throw damaged(this.#where, "it is cut in its signature");
    if (!digest.equals(trailer.subarray(0, DIGEST_BYTES))) throw damaged(this.#where, "its digest does not fit");
    const publicKey = Buffer.from(this.header.signer, "base64url");
    if (!isSignedBy(publicKey, digest, trailer.subarray(DIGEST_BYTES)))
      throw damaged(this.#where, "its signature is not by the key that it names");
    if ((await this.#input.take(1)).length > 0) throw damaged(this.#where, "it goes on behind its signature");
  }

  #demandSame(index: number, digest: Uint8Array): void {
    if (this.#expected === null || this.#expected[index]?.equals(digest) === true) return;
    throw damaged(this.#where, "it was changed while it was read");
  }

  async #exactly(count: number): Promise<Uint8Array> {
    const bytes = await this.#input.take(count);
    if (bytes.length < count) throw damaged(this.#where, "it is cut");
    this.#whole.update(bytes);
    return bytes;
  }

  async #decompress(packed: Uint8Array): Promise<Uint8Array> {
    try {
      // No more memory than a frame may take, whatever somebody has put there.
      return await promisify(zlib.zstdDecompress)(packed, { maxOutputLength: FRAME_CONTENT_BYTES });
    } catch (cause) {
      throw damaged(this.#where, "a frame of it does not decompress", cause);
    }
  }
}
