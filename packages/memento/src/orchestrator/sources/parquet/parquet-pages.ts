import zlib from "node:zlib";

import { parquetHeader } from "hyparquet/src/column.js";

import type { InputFile } from "../file/input-file.ts";
import { fillExactly } from "../file/input-file.ts";

/** A page's own description. */
export type PageHeader = ReturnType<typeof parquetHeader>;

const HEADER_BYTES = 4 * 1024;

/** Walks through the pages of one column of one row group, reading ahead by at most `readAheadBytes`. */
export class ParquetPages {
  readonly #file: InputFile;
  readonly #readAheadBytes: number;
  #at = 0;
  #end = 0;
  #uncompressedBytes = 0;
  /** What was read ahead; its memory is used again for every read. */
  #buffer = new Uint8Array(0);
  #readStart = 0;
  #readEnd = 0;

  constructor(file: InputFile, readAheadBytes: number) {
    this.#file = file;
    this.#readAheadBytes = readAheadBytes;
  }

  /** Goes to a column's pages, which stand between two bytes of the file and come to so many bytes when decompressed. */
  enter(start: number, end: number, uncompressedBytes: number): void {
    this.#at = start;
    this.#end = end;
    this.#uncompressedBytes = uncompressedBytes;
  }

  /** The next page's header; its body must be taken or skipped next. */
  async header(): Promise<PageHeader> {
    const left = this.#end - this.#at;
    for (let length = HEADER_BYTES; ; length *= 8) {
      const bytes = await this.#bytes(Math.min(length, left));
      const reader = { view: viewOf(bytes), offset: 0 };
      const header = parsed(reader, bytes.length === left);
      if (header === null) continue;
      this.#at += reader.offset;
      this.#checkSize(header);
      return header;
    }
  }

  skip(header: PageHeader): void {
    this.#at += header.compressed_page_size;
  }

  /** The page's bytes, as they stand in the file; good until the next call. */
  async body(header: PageHeader): Promise<Uint8Array<ArrayBuffer>> {
    const length = header.compressed_page_size;
    const bytes = await this.#bytes(length);
    this.#at += length;
    if (header.crc !== undefined && zlib.crc32(bytes) !== header.crc >>> 0) throw new Error("parquet page is damaged");
    return bytes;
  }

  /** A damaged header must not lead out of the column, nor to more memory than the column says that it needs. */
  #checkSize({ compressed_page_size, uncompressed_page_size }: PageHeader): void {
    const inColumn = compressed_page_size >= 0 && this.#at + compressed_page_size <= this.#end;
    const sound = inColumn && uncompressed_page_size >= 0 && uncompressed_page_size <= this.#uncompressedBytes;
    if (!sound) throw new Error("parquet page is longer than its column");
  }

  async #bytes(length: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#at < this.#readStart || this.#at + length > this.#readEnd) {
      const wanted = Math.min(Math.max(length, this.#readAheadBytes), this.#end - this.#at);
      // A little more than asked for: column chunks differ by a few bytes from row group to row group.
      if (this.#buffer.length < wanted) this.#buffer = new Uint8Array(wanted + (wanted >> 3));
      this.#readStart = this.#at;
      this.#readEnd = this.#at;
      await fillExactly(this.#file, this.#at, this.#buffer.subarray(0, wanted));
      this.#readEnd = this.#at + wanted;
    }
    const from = this.#at - this.#readStart;
    return this.#buffer.subarray(from, from + length);
  }
}

/** The header, or null where there may be more of it than was read: it holds statistics of any length. */
function parsed(reader: Parameters<typeof parquetHeader>[0], whole: boolean): PageHeader | null {
  try {
    return parquetHeader(reader);
  } catch (error) {
    if (whole) throw error;
    return null;
  }
}

/** A view over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
