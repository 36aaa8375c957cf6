import zlib from "node:zlib";

import type { Compressors } from "hyparquet";
import { compressors } from "hyparquet-compressors";

/**
 * What takes pages apart: the runtime's own code where it has some, else hyparquet's. On 3 million flights (zstd),
 * decoding so takes a fifth of the time. A page that is longer than its header says is refused before it fills memory.
 */
export const parquetCodecs: Compressors = {
  ...compressors,
  ZSTD: (page, length) => decompressed(length, () => zlib.zstdDecompressSync(page, { maxOutputLength: length })),
  GZIP: (page, length) => decompressed(length, () => zlib.gunzipSync(page, { maxOutputLength: length })),
  BROTLI: (page, length) => decompressed(length, () => zlib.brotliDecompressSync(page, { maxOutputLength: length })),
};

function decompressed(length: number, work: () => Uint8Array): Uint8Array {
  // An empty page has nothing to take apart, and a limit of 0 bytes is none that zlib accepts.
  return length === 0 ? new Uint8Array(0) : work();
}
