import { promisify } from "node:util";
import zlib from "node:zlib";

import { MementoError } from "../core/errors.ts";
import type { PackSection } from "../store/header.ts";

/** How sections are compressed. Without a level: the one that costs a save least for what it gains (zstd 1, gzip 6, brotli 4). */
export interface Compression {
  readonly codec: PackSection["codec"];
  readonly level?: number;
}

/** A section, compressed where that makes it smaller. */
export interface CompressedSection {
  readonly codec: PackSection["codec"];
  readonly plainBytes: number;
  readonly bytes: Uint8Array;
}

/** What a caretaker that says nothing gets. */
export const DEFAULT_COMPRESSION: Compression = { codec: "zstd" };

/** Below this zstd gains less than it costs (measured on stage mementos; a context of its own costs zstd tens of microseconds). */
const COMPRESS_BYTES_MIN = 4_096;
/** From here on the event loop is left alone while another thread compresses; below, the way there costs more. */
const THREAD_BYTES_MIN = 262_144;

/** What is decompressed at a time: zlib's own least, and what is allocated before anything was seen to be there. */
const CHUNK_BYTES_MIN = 64;
const CHUNK_BYTES_MAX = 16_777_216;

const { constants } = zlib;

/** Compresses a section: at once when it is small, off the main thread when it is large. */
export function compressSection(
  plain: Uint8Array,
  compression: Compression,
): CompressedSection | Promise<CompressedSection> {
  const { codec } = compression;
  if (codec === "none" || plain.length < COMPRESS_BYTES_MIN)
    return { codec: "none", plainBytes: plain.length, bytes: plain };
  return plain.length < THREAD_BYTES_MIN
    ? smaller(codec, plain, compressHere(plain, compression))
    : compressElsewhere(plain, compression).then((bytes) => smaller(codec, plain, bytes));
}

/** Begins to compress what will be a section, by another thread; null where it is better done when the pack is made. */
export function compressAhead(plain: Uint8Array, compression: Compression): Promise<CompressedSection> | null {
  const begun = plain.length < THREAD_BYTES_MIN ? null : compressSection(plain, compression);
  return begun instanceof Promise ? begun : null;
}

/** Gives a section its plain bytes back; DAMAGED, naming `where`, unless they are as many as were written. */
export function decompressSection(bytes: Uint8Array, section: PackSection, where: string): Uint8Array {
  let plain: Uint8Array;
  try {
    plain = decompressHere(bytes, section);
  } catch (cause) {
    throw notDecompressed(cause, where);
  }
  return whole(plain, section, where);
}

/** The same, by another thread. */
export async function decompressSectionElsewhere(
  bytes: Uint8Array,
  section: PackSection,
  where: string,
): Promise<Uint8Array> {
  const plain = decompressElsewhere(bytes, section).catch((cause: unknown) => {
    throw notDecompressed(cause, where);
  });
  return whole(await plain, section, where);
}

function whole(plain: Uint8Array, { plainBytes }: PackSection, where: string): Uint8Array {
  if (plain.length === plainBytes) return plain;
  throw new MementoError("DAMAGED", `${where} decodes to ${plain.length} bytes where ${plainBytes} were written`);
}

const notDecompressed = (cause: unknown, where: string): MementoError =>
  new MementoError("DAMAGED", `${where} does not decompress`, { cause });

function smaller(codec: PackSection["codec"], plain: Uint8Array, bytes: Uint8Array): CompressedSection {
  return bytes.length < plain.length
    ? { codec, plainBytes: plain.length, bytes }
    : { codec: "none", plainBytes: plain.length, bytes: plain };
}

function compressHere(plain: Uint8Array, { codec, level }: Compression): Uint8Array {
  if (codec === "gzip") return zlib.gzipSync(plain, gzipOptions(level));
  if (codec === "brotli") return zlib.brotliCompressSync(plain, brotliOptions(plain, level));
  return zlib.zstdCompressSync(plain, zstdOptions(plain, level));
}

async function compressElsewhere(plain: Uint8Array, { codec, level }: Compression): Promise<Uint8Array> {
  // What is given for the result weighs on the collector as long as it is held, and most of it stays empty; hundreds of small ones would be
  // put together by the main thread.
  const chunk = { chunkSize: Math.ceil(plain.length / 4) };
  if (codec === "gzip") return await promisify(zlib.gzip)(plain, { ...gzipOptions(level), ...chunk });
  if (codec === "brotli")
    return await promisify(zlib.brotliCompress)(plain, { ...brotliOptions(plain, level), ...chunk });
  return await promisify(zlib.zstdCompress)(plain, { ...zstdOptions(plain, level), ...chunk });
}

function decompressHere(bytes: Uint8Array, section: PackSection): Uint8Array {
  const options = decompressOptions(bytes, section);
  if (section.codec === "none") return bytes;
  if (section.codec === "gzip") return zlib.gunzipSync(bytes, options);
  if (section.codec === "brotli") return zlib.brotliDecompressSync(bytes, options);
  return zlib.zstdDecompressSync(bytes, options);
}

async function decompressElsewhere(bytes: Uint8Array, section: PackSection): Promise<Uint8Array> {
  const options = decompressOptions(bytes, section);
  if (section.codec === "none") return bytes;
  if (section.codec === "gzip") return await promisify(zlib.gunzip)(bytes, options);
  if (section.codec === "brotli") return await promisify(zlib.brotliDecompress)(bytes, options);
  return await promisify(zlib.zstdDecompress)(bytes, options);
}

function decompressOptions(
  bytes: Uint8Array,
  { plainBytes }: PackSection,
): { maxOutputLength: number; chunkSize: number } {
  // One byte more than was written is enough to see that it is more: no memory for what somebody else put there. As one
  // chunk it takes a third less time; what is said to be larger than all that fits is not believed so early.
  const chunkSize = Math.max(CHUNK_BYTES_MIN, Math.min(plainBytes + 1, Math.max(CHUNK_BYTES_MAX, bytes.length * 8)));
  return { maxOutputLength: plainBytes + 1, chunkSize };
}

const zstdOptions = (plain: Uint8Array, level = 1) => ({
  params: { [constants.ZSTD_c_compressionLevel]: level },
  pledgedSrcSize: plain.length,
});

const gzipOptions = (level = 6) => ({ level });

const brotliOptions = (plain: Uint8Array, level = 4) => ({
  params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length },
});
