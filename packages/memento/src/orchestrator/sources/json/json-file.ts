import { MementoError } from "../../../core/errors.ts";
import { brokenRecord } from "../file/broken-record.ts";
import { checkCompression, type Compression } from "../file/compression.ts";
import type { BytePlace } from "../file/file-place.ts";
import { fileSource } from "../file/file-source.ts";
import type { InputFile } from "../file/input-file.ts";
import { filePath, readExactly } from "../file/input-file.ts";
import type { RecordBlock } from "../file/record-blocks.ts";
import { checkRecordBytes, RECORD_BYTES_MAX } from "../file/record-size.ts";
import { checkEncoding, type TextEncoding } from "../file/text-encoding.ts";
import { textFormat } from "../file/text-format.ts";
import { utf8Chunks } from "../file/utf8-chunks.ts";
import type { Source } from "../source.ts";
import { findJsonArray } from "./json-array-start.ts";
import { JsonElementReader } from "./json-elements.ts";
import { isJsonSpace, JsonStructure } from "./json-structure.ts";

/** How to read a file that holds a JSON array. */
export interface JsonFileOptions {
  /** A path or a `file:` URL. */
  readonly path: string | URL;
  /** `1` by default. */
  readonly schemaVersion?: string;
  /** The keys that lead to the array: `data.rows`, or a list where a key holds a dot. By default the file itself is the array. */
  readonly at?: string | readonly string[];
  /** `auto` by default: gzip and zstd are known by the file's first bytes. */
  readonly compression?: Compression;
  /** `utf-8` by default. */
  readonly encoding?: TextEncoding;
  /** The longest element that is taken for one, in bytes; 64 MiB by default. RECORD_INVALID past it. */
  readonly recordBytesMax?: number;
}

/**
 * A source of the elements of one JSON array, which is the whole file or stands inside objects. The file is never held
 * in memory as a whole; the text may begin with a byte order mark. Any change makes it another file. Offsets
 * are `{ file, byte, record }`: reading goes on at the byte, without a look at the elements before it.
 */
export function jsonFile<Row = unknown>(options: JsonFileOptions): Source<Row> {
  const { at = [], recordBytesMax = RECORD_BYTES_MAX, compression = "auto", encoding = "utf-8" } = options;
  const path = typeof at === "string" ? at.split(".") : at;
  if (path.includes("")) throw new MementoError("INVALID_ARGUMENT", "at takes keys that are not empty");
  return fileSource({
    path: filePath(options.path),
    schemaVersion: options.schemaVersion ?? "1",
    format: textFormat<Row>({
      kind: "json-file",
      title: "JSON file",
      grows: false,
      view: { compression: checkCompression(compression), encoding: checkEncoding(encoding), stillWritten: false },
      blocks: (file, from, signal) => elementBlocks(file, from, { path, recordBytesMax, signal }),
    }),
  });
}

interface ElementOptions {
  readonly path: readonly string[];
  readonly recordBytesMax: number;
  readonly signal: AbortSignal;
}

const COMMA = 0x2c;

async function* elementBlocks<Row>(
  file: InputFile,
  from: BytePlace | null,
  options: ElementOptions,
): AsyncGenerator<RecordBlock<Row>> {
  const { path, recordBytesMax, signal } = options;
  const bodyStart = from === null ? await findJsonArray(file, path, signal) : await elementAfter(file, from.byte);
  if (bodyStart === null) return;
  if (bodyStart === "closed") {
    await checkRest(file, (from?.byte ?? 0) + 1, options);
    return;
  }
  const reader = new JsonElementReader<Row>(bodyStart, from === null);
  let record = (from?.record ?? 0) + 1;
  for await (const { bytes } of utf8Chunks(file, bodyStart, { signal })) {
    const { records, ends, state, problem } = reader.take(bytes);
    if (records.length > 0) yield { records, ends };
    record += records.length;
    const byte = reader.next;
    if (state === "closed") {
      await checkRest(file, byte, options);
      return;
    }
    if (state === "broken") throw await brokenRecord(file, { code: "RECORD_INVALID", byte, record, problem });
    await checkRecordBytes(file, { byte, record, length: reader.pendingBytes, recordBytesMax });
  }
  throw await brokenRecord(file, {
    code: "INPUT_CUT",
    byte: reader.next,
    record,
    problem: "or the array's end is missing",
  });
}

/** Where the element after the one that ends at `byte` begins; `closed` where the array has no more. */
async function elementAfter(file: InputFile, byte: number): Promise<number | "closed"> {
  const [delimiter] = await readExactly(file, byte, 1);
  return delimiter === COMMA ? byte + 1 : "closed";
}

/** What stands after the array must close the objects around it, and after them there must be nothing. */
async function checkRest(file: InputFile, start: number, { path, signal }: ElementOptions): Promise<void> {
  const structure = new JsonStructure();
  let open = path.length;
  for await (const chunk of utf8Chunks(file, start, { signal })) {
    let index = 0;
    while (open > 0 && index < chunk.bytes.length) {
      index = structure.nextDelimiter(chunk.bytes, index) + 1;
      if (index <= chunk.bytes.length && chunk.bytes[index - 1] !== COMMA) open -= 1;
    }
    const more = chunk.bytes.subarray(index).findIndex((byte) => !isJsonSpace(byte));
    if (open > 0 || more === -1) continue;
    const byte = chunk.start + index + more;
    throw await brokenRecord(file, { code: "RECORD_INVALID", byte, problem: "there is more text after the array" });
  }
  if (open === 0) return;
  const problem = "the file ends after its array, inside the object around it";
  throw await brokenRecord(file, { code: "INPUT_CUT", byte: await file.size(), problem });
}
