import { isMementoError } from "../../../core/errors.ts";
import { brokenRecord } from "../file/broken-record.ts";
import type { Breakage } from "../file/broken-record.ts";
import type { BytePlace } from "../file/file-place.ts";
import { type InputFile, readExactly } from "../file/input-file.ts";
import { nextLineStart } from "../file/last-line.ts";
import type { LastLine } from "../file/last-line.ts";
import type { RecordBlock } from "../file/record-blocks.ts";
import { checkRecordBytes } from "../file/record-size.ts";
import { rowTemplate } from "../file/row-template.ts";
import { textStart, utf8Chunks } from "../file/utf8-chunks.ts";
import type { CsvParser, CsvRecords, CsvSyntax } from "./csv-parser.ts";

/** How to read CSV records; see the options of `csvFile`. */
export interface CsvOptions {
  readonly syntax: CsvSyntax;
  /** True: the first line names the columns. False: there are no names. A list: the names. */
  readonly header: boolean | readonly string[];
  readonly cast: ((text: string) => unknown) | null;
  readonly lastLine: LastLine;
  readonly recordBytesMax: number;
  readonly signal: AbortSignal;
}

/** The records of a CSV file from a place on. */
export async function* csvBlocks<Row>(
  file: InputFile,
  from: BytePlace | null,
  options: CsvOptions,
): AsyncGenerator<RecordBlock<Row>> {
  const { header, lastLine, recordBytesMax } = options;
  const first = await firstRecord(file, options);
  if (first === null) return;
  const columns = header === true ? first.values : header === false ? null : header;
  if (header === true) await checkNames(file, first.values);
  const toRow = rowMaker<Row>(columns, options.cast);
  const width = columns?.length ?? first.values.length;
  const bodyStart = header === true ? first.end : first.start;

  let byte = from === null ? bodyStart : await nextLineStart(file, from.byte);
  let record = (from?.record ?? 0) + 1;
  for await (const raw of rawBlocks(file, byte, { ...options, pieceBytes: Number.POSITIVE_INFINITY })) {
    const { usable, breakage } = judge(raw, width, lastLine);
    const ends = raw.ends.slice(0, usable);
    if (usable > 0) yield { records: raw.records.slice(0, usable).map(toRow), ends };
    record += usable;
    byte = ends.at(-1) ?? byte;
    if (breakage === "wait") return;
    if (breakage !== null) throw await brokenRecord(file, { ...breakage, byte, record });
    await checkRecordBytes(file, { byte, record, length: raw.position - byte, recordBytesMax });
  }
}

interface RawBlock extends CsvRecords {
  /** Where the text that was parsed so far ends. */
  readonly position: number;
  /** True: the last record ends with the file, without a line end. */
  readonly open: boolean;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

async function* rawBlocks(
  file: InputFile,
  start: number,
  options: CsvOptions & { readonly pieceBytes: number },
): AsyncGenerator<RawBlock> {
  const { signal, lastLine, syntax, pieceBytes } = options;
  // Loaded at the first read: who reads no CSV does not wait for its parser.
  const { CsvParser } = await import("./csv-parser.ts");
  const parser = new CsvParser(syntax, start);
  let position = start;
  let lastByte = LINE_FEED;
  try {
    for await (const { bytes } of utf8Chunks(file, start, { signal, stillWritten: lastLine === "wait" })) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = bytes.subarray(at, at + pieceBytes);
        position += piece.length;
        lastByte = piece.at(-1) ?? lastByte;
        yield { ...(await parser.take(piece)), position, open: false };
      }
    }
    // Where the file ends between CR and LF, the CR is half a line end and no part of a value.
    const { records, ends, problem } = await rest(parser, lastByte === CARRIAGE_RETURN);
    const inFile = ends.map((end) => Math.min(end, position));
    const open = lastByte !== LINE_FEED && inFile.at(-1) === position;
    yield { records, ends: inFile, problem, position, open };
  } catch (error) {
    if (isMementoError(error, "CANCELLED")) throw error;
    // The parser looks ahead, so records may be whole that it has not given yet; only those are.
    const { records, ends } = await rest(parser, true);
    const whole = ends.filter((end) => end <= position);
    yield { records: records.slice(0, whole.length), ends: whole, problem: null, position, open: false };
    throw error;
  } finally {
    parser.abandon();
  }
}

/** What the parser has left, after it has been given a line end where one is asked for. */
async function rest(parser: CsvParser, withLineEnd: boolean): Promise<CsvRecords> {
  const completed = withLineEnd ? await parser.take(Buffer.from([LINE_FEED])) : null;
  if (completed !== null && completed.problem !== null) return completed;
  const finished = await parser.finish();
  const records = [...(completed?.records ?? []), ...finished.records];
  return { records, ends: [...(completed?.ends ?? []), ...finished.ends], problem: finished.problem };
}

interface Judgement {
  /** How many records are sound. */
  readonly usable: number;
  /** What the next one is; `wait` where it is left for a later read. */
  readonly breakage: Pick<Breakage, "code" | "problem"> | "wait" | null;
}

function judge({ records, problem, open }: RawBlock, width: number, lastLine: LastLine): Judgement {
  const last = records.length - 1;
  const odd = records.findIndex((values) => values.length !== width);
  const values = records[odd]?.length ?? width;
  if (open && (odd === -1 || odd === last)) {
    if (lastLine === "wait") return { usable: last, breakage: "wait" };
    if (lastLine === "refuse" || values < width) return { usable: last, breakage: cut("has no end") };
  }
  if (odd !== -1) return { usable: odd, breakage: invalid(`has ${values} values where there are ${width} columns`) };
  return { usable: records.length, breakage: breakageOf(problem, lastLine) };
}

function breakageOf(problem: CsvRecords["problem"], lastLine: LastLine): Judgement["breakage"] {
  if (problem === null) return null;
  if (problem === "stray-quote") return invalid("has a quote where none may stand");
  return lastLine === "wait" ? "wait" : cut("ends inside a quoted value");
}

const cut = (problem: string): Pick<Breakage, "code" | "problem"> => ({ code: "INPUT_CUT", problem });
const invalid = (problem: string): Pick<Breakage, "code" | "problem"> => ({ code: "RECORD_INVALID", problem });

interface FirstRecord {
  readonly values: string[];
  readonly start: number;
  readonly end: number;
}

const FIRST_PIECE_BYTES = 4096;

/** The file's first record, whether it is the header or not; null where the file has none. */
async function firstRecord(file: InputFile, options: CsvOptions): Promise<FirstRecord | null> {
  const start = await textStart(file);
  for await (const { records, ends, problem, position } of rawBlocks(file, start, {
    ...options,
    pieceBytes: FIRST_PIECE_BYTES,
  })) {
    const [values] = records;
    const [end] = ends;
    if (values !== undefined && end !== undefined) {
      const first = { values, start, end };
      await checkLineEnds(file, first, options);
      return first;
    }
    const breakage = breakageOf(problem, options.lastLine);
    if (breakage === "wait") return null;
    if (breakage !== null) throw await brokenRecord(file, { ...breakage, byte: start, record: 1 });
    await checkRecordBytes(file, {
      byte: start,
      record: 1,
      length: position - start,
      recordBytesMax: options.recordBytesMax,
    });
  }
  return null;
}

/** A CR alone ends no line: the whole file would be its header, or its only record, and nothing would be read. */
async function checkLineEnds(file: InputFile, { values, start, end }: FirstRecord, options: CsvOptions): Promise<void> {
  if (!values.some((value) => /\r(?!\n)/.test(value))) return;
  if (options.header !== true && end < (await file.size())) return;
  const { hasBareReturn } = await import("./csv-parser.ts");
  if (!(await hasBareReturn(await readExactly(file, start, end - start), options.syntax))) return;
  const problem = String.raw`the lines end in CR alone; write them with LF, by tr '\r' '\n' for example`;
  throw await brokenRecord(file, { code: "RECORD_INVALID", byte: start, problem });
}

async function checkNames(file: InputFile, names: readonly string[]): Promise<void> {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  const problem = `the header names two columns ${JSON.stringify(twice)}; name the columns by the header option`;
  throw await brokenRecord(file, { code: "RECORD_INVALID", byte: 0, problem });
}

function rowMaker<Row>(
  columns: readonly string[] | null,
  cast: CsvOptions["cast"],
): (values: readonly string[]) => Row {
  const valueOf = cast ?? ((text: string): unknown => text);
  if (columns === null) return (values) => values.map((text) => valueOf(text)) as Row;
  const template = rowTemplate(columns);
  return (values) => {
    const row: Record<string, unknown> = { ...template };
    for (const [index, column] of columns.entries()) row[column] = valueOf(values[index] ?? "");
    return row as Row;
  };
}
