import zlib from "node:zlib";

import type { SchemaElement } from "hyparquet";
import type { ParquetWriter } from "hyparquet-writer";

import { rowValue } from "../../../../core/row-value.ts";
import { parquetCodecs } from "../../../sources/parquet/parquet-codecs.ts";
import { rowField } from "../../row-field.ts";
import { type Columns, columnValue, type DatasetColumnType, recordOf, refuseUnknown } from "./columns.ts";
import { type DataFormat, takeTurn, TURN_ROWS } from "./data-format.ts";
import { jsonText } from "./json-text.ts";

/** A column's values, null for what is missing. */
type ColumnValues = unknown[];

/** Parquet with zstd: row groups of `rowGroupRows`, every column optional, timestamps in milliseconds UTC. */
export function parquetFormat(rowGroupRows: number): DataFormat {
  return {
    ending: "parquet",
    needsColumns: true,
    async *encode({ rows, from, to }, columns) {
      const file = await ParquetChunks.start(columns ?? {});
      for (let start = from; start < to; start += rowGroupRows) {
        const values = await columnsOf(rows, start, Math.min(to, start + rowGroupRows), columns ?? {});
        yield file.group(values);
      }
      yield file.end();
    },
    async *merge(files, columns) {
      const file = await ParquetChunks.start(columns ?? {});
      let open = emptyColumns(columns ?? {});
      for (const merged of files) {
        open = joined(open, await readColumns(merged, columns ?? {}));
        while ((open[0]?.length ?? 0) >= rowGroupRows) {
          yield file.group(open.map((values) => values.slice(0, rowGroupRows)));
          open = open.map((values) => values.slice(rowGroupRows));
        }
      }
      if ((open[0]?.length ?? 0) > 0) yield file.group(open);
      yield file.end();
    },
  };
}

/** A Parquet file that is handed out as it grows: no more than one row group is held. */
class ParquetChunks {
  readonly #writer: ParquetWriter;
  readonly #bytes: { index: number; getBytes(): Uint8Array };
  readonly #columns: Columns;

  private constructor(writer: ParquetWriter, bytes: { index: number; getBytes(): Uint8Array }, columns: Columns) {
    this.#writer = writer;
    this.#bytes = bytes;
    this.#columns = columns;
  }

  static async start(columns: Columns): Promise<ParquetChunks> {
    // Loaded at the first write: who writes no Parquet does not wait for it.
    const { ByteWriter, ParquetWriter: Writer } = await import("hyparquet-writer");
    const bytes = new ByteWriter();
    const writer = new Writer({
      writer: bytes,
      schema: schemaOf(columns, (type) => (type === "json" ? "string" : type)),
      codec: "ZSTD",
      compressors: { ZSTD: (page: Uint8Array) => zlib.zstdCompressSync(page) },
      createdBy: "memento",
    });
    return new ParquetChunks(writer, bytes, columns);
  }

  group(values: readonly ColumnValues[]): Uint8Array {
    const columnData = Object.entries(this.#columns).map(([name, type], place) => ({
      name,
      data: values[place] ?? [],
      // Bounds of JSON text may not be cut, and nobody looks for rows by them.
      statistics: type !== "json",
    }));
    void this.#writer.write({ columnData, rowGroupSize: Math.max(1, values[0]?.length ?? 0) });
    return this.#taken();
  }

  end(): Uint8Array {
    // JSON goes in as text that is there already: the writer would parse and print it anew, and lose large integers.
    this.#writer.schema = schemaOf(this.#columns, (type) => type);
    void this.#writer.finish();
    return this.#taken();
  }

  #taken(): Uint8Array {
    const chunk = Uint8Array.from(this.#bytes.getBytes());
    this.#bytes.index = 0;
    return chunk;
  }
}

const ELEMENTS: Readonly<Record<DatasetColumnType, Partial<SchemaElement>>> = {
  string: { type: "BYTE_ARRAY", converted_type: "UTF8" },
  number: { type: "DOUBLE" },
  integer: { type: "INT64" },
  boolean: { type: "BOOLEAN" },
  timestamp: { type: "INT64", converted_type: "TIMESTAMP_MILLIS" },
  bytes: { type: "BYTE_ARRAY" },
  json: { type: "BYTE_ARRAY", converted_type: "JSON" },
};

function schemaOf(columns: Columns, as: (type: DatasetColumnType) => DatasetColumnType): SchemaElement[] {
  const leaves = Object.entries(columns).map(([name, type]) => ({
    name,
    repetition_type: "OPTIONAL" as const,
    ...ELEMENTS[as(type)],
  }));
  return [{ name: "root", num_children: leaves.length }, ...leaves];
}

async function columnsOf(
  rows: readonly unknown[],
  from: number,
  to: number,
  columns: Columns,
): Promise<ColumnValues[]> {
  const fields = Object.entries(columns);
  const values = emptyColumns(columns);
  for (let index = from; index < to; index++) {
    const record = recordOf(rows[index], index);
    refuseUnknown(record, columns, index);
    for (const [place, [name, type]] of fields.entries()) {
      const item = (): string => rowField(index, name);
      const value = columnValue(rowValue(record, name), type, item);
      values[place]?.push(type === "json" && value !== null ? jsonText(value, item) : value);
    }
    if ((index - from) % TURN_ROWS === TURN_ROWS - 1) await takeTurn();
  }
  return values;
}

function emptyColumns(columns: Columns): ColumnValues[] {
  return Object.keys(columns).map(() => []);
}

function joined(left: readonly ColumnValues[], right: readonly ColumnValues[]): ColumnValues[] {
  return left.map((values, place) => values.concat(right[place] ?? []));
}

const asText = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
const asIs = (value: unknown): unknown => value;

/** The values of a file of ours in the form in which they were given to the writer. */
async function readColumns(content: Uint8Array, columns: Columns): Promise<ColumnValues[]> {
  const { parquetReadObjects } = await import("hyparquet");
  const { buffer, byteOffset, byteLength } = content;
  const file = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  const rows = await parquetReadObjects({
    file,
    compressors: parquetCodecs,
    utf8: false,
    parsers: { jsonFromBytes: asText, timestampFromMilliseconds: asIs },
  });
  return Object.keys(columns).map((name) => rows.map((row): unknown => row[name] ?? null));
}
