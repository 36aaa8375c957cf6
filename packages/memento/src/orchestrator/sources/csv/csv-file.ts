import { MementoError } from "../../../core/errors.ts";
import { checkCompression, type Compression } from "../file/compression.ts";
import { fileSource } from "../file/file-source.ts";
import { filePath } from "../file/input-file.ts";
import type { LastLine } from "../file/last-line.ts";
import { RECORD_BYTES_MAX } from "../file/record-size.ts";
import { checkEncoding, type TextEncoding } from "../file/text-encoding.ts";
import { textFormat } from "../file/text-format.ts";
import type { Source } from "../source.ts";
import { csvBlocks } from "./csv-blocks.ts";
import { castCsvValue, castCsvValueWithComma } from "./csv-cast.ts";
import type { CastValue } from "./csv-cast.ts";
import type { CsvSyntax } from "./csv-parser.ts";

/** How to read a CSV file. */
export interface CsvFileOptions {
  /** A path or a `file:` URL. */
  readonly path: string | URL;
  /** `1` by default. */
  readonly schemaVersion?: string;
  /**
   * True, the default: the first line names the columns, and each record is an object. False: the first line is a record
   * already, and each record is an array. A list: it names the columns, and the first line is a record already.
   */
  readonly header?: boolean | readonly string[];
  /** `,` by default; one or more characters. */
  readonly delimiter?: string;
  /** `"` by default; one character, or null where nothing is quoted. Inside a quoted value it is written twice. */
  readonly quote?: string | null;
  /** What stands before a quote inside a quoted value; the quote itself by default. One character, such as `\\`. */
  readonly escape?: string;
  /** What a line begins with that is no record, such as `#`; there are no such lines by default. */
  readonly comment?: string;
  /** False by default: every value is a string. True: numbers, `true`, `false` and empty values are read as what they are. */
  readonly cast?: boolean;
  /** What stands before the decimals of a number that is cast: `.` by default, or `,`. */
  readonly decimal?: "." | ",";
  /** `auto` by default: gzip and zstd are known by the file's first bytes. A compressed file is another one after any change. */
  readonly compression?: Compression;
  /** `utf-8` by default. */
  readonly encoding?: TextEncoding;
  /**
   * `take` by default. A last line without a line end that has all its columns is taken for whole, though its last value
   * may have been cut: let files end in a line end and `refuse`, and no cut goes unseen.
   */
  readonly lastLine?: LastLine;
  /** The longest record that is taken for one, in bytes; 64 MiB by default. RECORD_INVALID past it. */
  readonly recordBytesMax?: number;
}

/** A record of a CSV file with named columns. */
export type CsvRow = Record<string, CastValue>;

/**
 * A source of the records of a CSV file (RFC 4180; lines end in LF or CRLF, quoted values may hold both). Empty lines are
 * skipped; the text may begin with a byte order mark. A record with more or fewer values than there are
 * columns is RECORD_INVALID, the last one of a cut file INPUT_CUT. The file may grow between two reads. Offsets are
 * `{ file, byte, record }`: reading goes on at the byte, after a look at the first line for the columns.
 */
export function csvFile<Row = CsvRow>(options: CsvFileOptions): Source<Row> {
  const { header = true, delimiter = ",", quote = '"', cast = false, lastLine = "take" } = options;
  const { recordBytesMax = RECORD_BYTES_MAX, escape = quote, comment = null, decimal = "." } = options;
  const { compression = "auto", encoding = "utf-8" } = options;
  checkSyntax(delimiter, quote);
  checkMarks({ delimiter, quote, escape, comment });
  if (decimal !== "." && decimal !== ",") throw new MementoError("INVALID_ARGUMENT", 'decimal takes "." or ","');
  const castValue = decimal === "." ? castCsvValue : castCsvValueWithComma;
  const stillWritten = lastLine === "wait";
  const columns = typeof header === "boolean" ? null : checkedColumns(header);
  return fileSource({
    path: filePath(options.path),
    schemaVersion: options.schemaVersion ?? "1",
    format: textFormat<Row>({
      kind: "csv-file",
      title: "CSV file",
      grows: true,
      view: { compression: checkCompression(compression), encoding: checkEncoding(encoding), stillWritten },
      blocks: (file, from, signal) =>
        csvBlocks<Row>(file, from, {
          syntax: { delimiter, quote, escape, comment },
          header: columns ?? header === true,
          cast: cast ? castValue : null,
          lastLine,
          recordBytesMax,
          signal,
        }),
    }),
  });
}

function checkSyntax(delimiter: string, quote: string | null): void {
  const reserved = /[\r\n]/;
  if (delimiter === "" || reserved.test(delimiter)) {
    throw new MementoError("INVALID_ARGUMENT", "delimiter takes one or more characters, none of them a line end");
  }
  if (quote === null) return;
  if (quote.length !== 1 || reserved.test(quote) || delimiter.includes(quote)) {
    throw new MementoError(
      "INVALID_ARGUMENT",
      "quote takes one character that is no line end and not in the delimiter",
    );
  }
}

function checkMarks({ delimiter, quote, escape, comment }: CsvSyntax): void {
  const invalid = (message: string): MementoError => new MementoError("INVALID_ARGUMENT", message);
  const isMark = (mark: string): boolean => !/[\r\n]/.test(mark) && !delimiter.includes(mark);
  if (escape !== null && (quote === null || escape.length !== 1 || !isMark(escape)))
    throw invalid("escape takes one character that is no line end and not in the delimiter, where values are quoted");
  if (comment !== null && (comment === "" || !isMark(comment) || comment === quote || comment === escape))
    throw invalid("comment takes one or more characters that are no line end, no delimiter and no quote");
}

function checkedColumns(columns: readonly string[]): readonly string[] {
  if (columns.length > 0 && new Set(columns).size === columns.length) return columns;
  throw new MementoError("INVALID_ARGUMENT", "header takes at least one column, and no name twice");
}
