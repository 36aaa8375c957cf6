import { decompressPage } from "hyparquet/src/datapage.js";
import { readRleBitPackedHybrid } from "hyparquet/src/encoding.js";

import type { PageDecoder } from "./parquet-flat-column.ts";
import { viewOf } from "./parquet-pages.ts";
import type { PageHeader } from "./parquet-pages.ts";

const MISSING = -1;

/** What is known of a page's column. */
export interface IndexedColumn {
  readonly decoder: PageDecoder;
  /** 0 where no value may be missing, else 1. */
  readonly maxDefinitionLevel: number;
  readonly dictionaryLength: number;
}

/** The values of a page as places in its dictionary; -1 where a value is missing. Its memory is used again for each page. */
export class DictionaryIndexes {
  values: Int32Array = new Int32Array(0);
  length = 0;
  #levels = new Uint8Array(0);

  /** Reads a page of a column without nesting; false where the page does not point into a dictionary. */
  read(body: Uint8Array, header: PageHeader, column: IndexedColumn): boolean {
    const { data_page_header: v1, data_page_header_v2: v2 } = header;
    const encoding = v2?.encoding ?? v1?.encoding;
    if (encoding !== "RLE_DICTIONARY" && encoding !== "PLAIN_DICTIONARY") return false;
    this.#reserve(v2?.num_values ?? v1?.num_values ?? 0);
    const { codec, compressors } = column.decoder;
    // In the second version of pages, levels stand before the compressed part and not in it.
    const levelBytes = v2 === undefined ? 0 : v2.definition_levels_byte_length + v2.repetition_levels_byte_length;
    const packed = body.subarray(levelBytes);
    const compressed = v2 === undefined || v2.is_compressed !== false;
    const page = compressed
      ? decompressPage(packed, header.uncompressed_page_size - levelBytes, codec, compressors)
      : packed;
    const reader = { view: viewOf(page), offset: 0 };
    let present = this.length;
    if (column.maxDefinitionLevel > 0) {
      const levels = this.#levels.subarray(0, this.length);
      if (v2 === undefined) readRleBitPackedHybrid(reader, 1, levels);
      else
        readRleBitPackedHybrid(
          { view: viewOf(body), offset: v2.repetition_levels_byte_length },
          1,
          levels,
          v2.definition_levels_byte_length,
        );
      present = levels.reduce((count, level) => count + level, 0);
    }
    this.#readIndexes(reader, present, column.dictionaryLength);
    if (present < this.length) this.#spread(present);
    return true;
  }

  #reserve(length: number): void {
    this.length = length;
    if (this.values.length >= length) return;
    // A little more than asked for: pages of one column differ by a few rows.
    const capacity = length + (length >> 3);
    this.values = new Int32Array(capacity);
    this.#levels = new Uint8Array(capacity);
  }

  #readIndexes(reader: { readonly view: DataView; offset: number }, present: number, dictionaryLength: number): void {
    const indexes = this.values.subarray(0, present);
    if (present === 0) return;
    const bitWidth = reader.view.getUint8(reader.offset);
    reader.offset += 1;
    if (bitWidth === 0) indexes.fill(0);
    else readRleBitPackedHybrid(reader, bitWidth, indexes, reader.view.byteLength - reader.offset);
    for (const index of indexes) {
      if (index < 0 || index >= dictionaryLength) throw new Error("parquet page points past the end of its dictionary");
    }
  }

  /** Moves the indexes of the values that are there to their rows, from the last one on, so that none is overwritten. */
  #spread(present: number): void {
    let from = present;
    for (let row = this.length - 1; row >= 0; row -= 1) {
      if (this.#levels[row] === 1) {
        from -= 1;
        this.values[row] = this.values[from] ?? MISSING;
      } else {
        this.values[row] = MISSING;
      }
    }
  }
}
