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
import { jsonProblem, NOT_JSON, parseJson } from "./parse-json.ts";

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
 * in LF or CRLF; the text may begin with a byte order mark. Whole numbers past 2^53 - 1 are bigints. The file may grow between two reads. Offsets are
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
    const { records, ends, problem } = lines.take(chunk.bytes);
    if (records.length > 0) yield { records, ends };
    record += records.length;
    const byte = lines.lineStart;
    if (problem !== null) throw await brokenRecord(file, { code: "RECORD_INVALID", byte, record, problem });
    await checkRecordBytes(file, { byte, record, length: lines.restBytes, recordBytesMax });
  }
  const last = lines.rest();
  if (last === "blank" || lastLine === "wait") return;
  const byte = lines.lineStart;
  if (lastLine === "refuse" || last.problem === NOT_JSON)
    throw await brokenRecord(file, { code: "INPUT_CUT", byte, record, problem: "has no end" });
  if (last.problem !== null)
    throw await brokenRecord(file, { code: "RECORD_INVALID", byte, record, problem: last.problem });
  yield { records: [last.value], ends: [byte + lines.restBytes] };
}

const LINE_FEED = 0x0a;

/** What a line says, or what is wrong with it. */
type Parsed<Row> = { readonly value: Row; readonly problem: null } | { readonly problem: string } | "blank";

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

  /** The records whose lines end in these bytes, up to the first broken one, and what is wrong with that. */
  take(bytes: Buffer): { readonly records: Row[]; readonly ends: number[]; readonly problem: string | null } {
    const records: Row[] = [];
    const ends: number[] = [];
    let at = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, at)) {
      const text = this.#withRest(bytes.subarray(at, end));
      const lineBytes = this.restBytes + end + 1 - at;
      const parsed = parse<Row>(text);
      if (parsed !== "blank" && parsed.problem !== null) return { records, ends, problem: parsed.problem };
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
    return { records, ends, problem: null };
  }

  /** What stands after the last line end. */
  rest(): Parsed<Row> {
    return parse<Row>(this.#withRest(Buffer.alloc(0)));
  }

  #withRest(bytes: Buffer): string {
    return this.#rest.length === 0 ? bytes.toString("utf8") : Buffer.concat([...this.#rest, bytes]).toString("utf8");
  }
}

const BLANK = /^[\t\r ]*$/;

function parse<Row>(text: string): Parsed<Row> {
  try {
    return { value: parseJson(text) as Row, problem: null };
  } catch (error) {
    return BLANK.test(text) ? "blank" : { problem: jsonProblem(error) };
  }
}
