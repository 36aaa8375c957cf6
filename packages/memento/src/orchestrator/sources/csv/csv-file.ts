import { MementoError } from "../../../core/errors.ts";
import { fileSource } from "../file/file-source.ts";
import { filePath } from "../file/input-file.ts";
import type { LastLine } from "../file/last-line.ts";
import { RECORD_BYTES_MAX } from "../file/record-size.ts";
import { textFormat } from "../file/text-format.ts";
import type { Source } from "../source.ts";
import { csvBlocks } from "./csv-blocks.ts";
import { castCsvValue } from "./csv-cast.ts";
import type { CastValue } from "./csv-cast.ts";

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
  /** False by default: every value is a string. True: numbers, `true`, `false` and empty values are read as what they are. */
  readonly cast?: boolean;
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
 * skipped; the text is UTF-8, with or without a byte order mark. A record with more or fewer values than there are
 * columns is RECORD_INVALID, the last one of a cut file INPUT_CUT. The file may grow between two reads. Offsets are
 * `{ file, byte, record }`: reading goes on at the byte, after a look at the first line for the columns.
 */
export function csvFile<Row = CsvRow>(options: CsvFileOptions): Source<Row> {
  const { header = true, delimiter = ",", quote = '"', cast = false, lastLine = "take" } = options;
  const { recordBytesMax = RECORD_BYTES_MAX } = options;
  checkSyntax(delimiter, quote);
  const columns = typeof header === "boolean" ? null : checkedColumns(header);
  return fileSource({
    path: filePath(options.path),
    schemaVersion: options.schemaVersion ?? "1",
    format: textFormat<Row>({
      kind: "csv-file",
      title: "CSV file",
      grows: true,
      blocks: (file, from, signal) =>
        csvBlocks<Row>(file, from, {
          syntax: { delimiter, quote },
          header: columns ?? header === true,
          cast: cast ? castCsvValue : null,
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

function checkedColumns(columns: readonly string[]): readonly string[] {
  if (columns.length > 0 && new Set(columns).size === columns.length) return columns;
  throw new MementoError("INVALID_ARGUMENT", "header takes at least one column, and no name twice");
}
