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
  /** What was read ahead; its memory is used again for every read. */
  #buffer = new Uint8Array(0);
  #readStart = 0;
  #readEnd = 0;

  constructor(file: InputFile, readAheadBytes: number) {
    this.#file = file;
    this.#readAheadBytes = readAheadBytes;
  }

  /** Goes to the pages that stand between two bytes of the file. */
  enter(start: number, end: number): void {
    this.#at = start;
    this.#end = end;
  }

  /** The next page's header; its body must be taken or skipped next. */
  async header(): Promise<PageHeader> {
    for (let length = HEADER_BYTES; ; length *= 8) {
      const bytes = await this.#bytes(Math.min(length, this.#end - this.#at));
      const reader = { view: viewOf(bytes), offset: 0 };
      try {
        const header = parquetHeader(reader);
        this.#at += reader.offset;
        return header;
      } catch (error) {
        // Headers hold statistics of any length: it may only have been longer than what was read of it.
        if (bytes.length === this.#end - this.#at) throw error;
      }
    }
  }

  skip(header: PageHeader): void {
    this.#at += header.compressed_page_size;
  }

  /** The page's bytes, as they stand in the file; good until the next call. */
  async body(header: PageHeader): Promise<Uint8Array<ArrayBuffer>> {
    const length = header.compressed_page_size;
    if (this.#at + length > this.#end) throw new Error("parquet page is longer than its column");
    const bytes = await this.#bytes(length);
    this.#at += length;
    if (header.crc !== undefined && zlib.crc32(bytes) !== header.crc >>> 0) throw new Error("parquet page is damaged");
    return bytes;
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

/** A view over exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
