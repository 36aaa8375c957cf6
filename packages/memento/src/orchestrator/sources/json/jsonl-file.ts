import { brokenRecord } from "../file/broken-record.ts";
import { checkCompression, type Compression } from "../file/compression.ts";
import type { BytePlace } from "../file/file-place.ts";
import { fileSource } from "../file/file-source.ts";
import type { InputFile } from "../file/input-file.ts";
import { filePath } from "../file/input-file.ts";
import { nextLineStart } from "../file/last-line.ts";
import type { LastLine } from "../file/last-line.ts";
import type { RecordBlock } from "../file/record-blocks.ts";
import { checkRecordBytes, RECORD_BYTES_MAX } from "../file/record-size.ts";
import { checkEncoding, type TextEncoding } from "../file/text-encoding.ts";
import { textFormat } from "../file/text-format.ts";
import { textStart, utf8Chunks } from "../file/utf8-chunks.ts";
import type { Source } from "../source.ts";

/** How to read a file of JSON lines. */
export interface JsonlFileOptions {
  /** A path or a `file:` URL. */
  readonly path: string | URL;
  /** `1` by default. */
  readonly schemaVersion?: string;
  /** `take` by default. A bare number that was cut short still parses: let such files end in a line end, and `refuse`. */
  readonly lastLine?: LastLine;
  /** `auto` by default: gzip and zstd are known by the file's first bytes. A compressed file is another one after any change. */
  readonly compression?: Compression;
  /** `utf-8` by default. */
  readonly encoding?: TextEncoding;
  /** The longest line that is taken for one, in bytes; 64 MiB by default. RECORD_INVALID past it. */
  readonly recordBytesMax?: number;
}

/**
 * A source of the JSON values of a file, one on each line (also called NDJSON). Blank lines are skipped; lines may end
 * in LF or CRLF; the text may begin with a byte order mark. The file may grow between two reads. Offsets are
 * `{ file, byte, record }`: reading goes on at the byte, without a look at the lines before it.
 */
export function jsonlFile<Row = unknown>(options: JsonlFileOptions): Source<Row> {
  const { lastLine = "take", recordBytesMax = RECORD_BYTES_MAX, compression = "auto", encoding = "utf-8" } = options;
  const stillWritten = lastLine === "wait";
  return fileSource({
    path: filePath(options.path),
    schemaVersion: options.schemaVersion ?? "1",
    format: textFormat<Row>({
      kind: "jsonl-file",
      title: "JSON lines file",
      grows: true,
      view: { compression: checkCompression(compression), encoding: checkEncoding(encoding), stillWritten },
      blocks: (file, from, signal) => lineBlocks(file, from, { lastLine, recordBytesMax, signal }),
    }),
  });
}

interface LineOptions {
  readonly lastLine: LastLine;
  readonly recordBytesMax: number;
  readonly signal: AbortSignal;
}

async function* lineBlocks<Row>(
  file: InputFile,
  from: BytePlace | null,
  options: LineOptions,
): AsyncGenerator<RecordBlock<Row>> {
  const { lastLine, recordBytesMax, signal } = options;
  const start = from === null ? await textStart(file) : await nextLineStart(file, from.byte);
  const lines = new Lines<Row>(start);
  let record = (from?.record ?? 0) + 1;
  for await (const chunk of utf8Chunks(file, start, { signal, stillWritten: lastLine === "wait" })) {
    const { records, ends, broken } = lines.take(chunk.bytes);
    if (records.length > 0) yield { records, ends };
    record += records.length;
    const byte = lines.lineStart;
    if (broken) throw await brokenRecord(file, { code: "RECORD_INVALID", byte, record, problem: "is not valid JSON" });
    await checkRecordBytes(file, { byte, record, length: lines.restBytes, recordBytesMax });
  }
  const last = lines.takeRest();
  if (last.blank || lastLine === "wait") return;
  if (last.broken || lastLine === "refuse") {
    throw await brokenRecord(file, { code: "INPUT_CUT", byte: lines.lineStart, record, problem: "has no end" });
  }
  yield { records: last.records, ends: last.ends };
}

const LINE_FEED = 0x0a;

/** Cuts text into lines and parses them. */
class Lines<Row> {
  /** Where the line begins that is not done, or that is broken. */
  lineStart: number;
  restBytes = 0;
  /** What is there of the line that is not done. */
  #rest: Buffer[] = [];

  constructor(start: number) {
    this.lineStart = start;
  }

  /** The records whose lines end in these bytes, up to the first broken one. */
  take(bytes: Buffer): { readonly records: Row[]; readonly ends: number[]; readonly broken: boolean } {
    const records: Row[] = [];
    const ends: number[] = [];
    let at = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, at)) {
      const text = this.#withRest(bytes.subarray(at, end));
      const lineBytes = this.restBytes + end + 1 - at;
      const parsed = parse<Row>(text);
      if (parsed === "broken") return { records, ends, broken: true };
      this.#rest = [];
      this.restBytes = 0;
      this.lineStart += lineBytes;
      at = end + 1;
      if (parsed === "blank") continue;
      records.push(parsed.value);
      ends.push(this.lineStart);
    }
    if (at < bytes.length) this.#rest.push(bytes.subarray(at));
    this.restBytes += bytes.length - at;
    return { records, ends, broken: false };
  }

  /** What stands after the last line end. */
  takeRest(): { readonly records: Row[]; readonly ends: number[]; readonly broken: boolean; readonly blank: boolean } {
    const parsed = parse<Row>(this.#withRest(Buffer.alloc(0)));
    if (typeof parsed === "string")
      return { records: [], ends: [], broken: parsed === "broken", blank: parsed === "blank" };
    return { records: [parsed.value], ends: [this.lineStart + this.restBytes], broken: false, blank: false };
  }

  #withRest(bytes: Buffer): string {
    return this.#rest.length === 0 ? bytes.toString("utf8") : Buffer.concat([...this.#rest, bytes]).toString("utf8");
  }
}

const BLANK = /^[\t\r ]*$/;

function parse<Row>(text: string): { readonly value: Row } | "blank" | "broken" {
  try {
    return { value: JSON.parse(text) as Row };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return BLANK.test(text) ? "blank" : "broken";
  }
}
