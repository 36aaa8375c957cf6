import { CsvError, parse } from "csv-parse";
import type { Parser } from "csv-parse";

/** How the values of a CSV file are set apart. */
export interface CsvSyntax {
  readonly delimiter: string;
  /** Null where nothing is quoted. */
  readonly quote: string | null;
  /** Stands before a quote, or itself, inside a quoted value; the quote itself where it is doubled. */
  readonly escape: string | null;
  /** What lines begin with that are no records; null for none. */
  readonly comment: string | null;
}

/** Records that a piece of CSV text has completed. */
export interface CsvRecords {
  readonly records: string[][];
  /** For each record, the byte of the file just after it and its line end. */
  readonly ends: number[];
  /** What is wrong after the last of these records. */
  readonly problem: "open-quote" | "stray-quote" | null;
}

const LINE_ENDS: readonly string[] = ["\r\n", "\n"];

/** True where a record's text is several ones by lines that end in CR alone, which are not told from a value that holds one. */
export async function hasBareReturn(bytes: Buffer, syntax: CsvSyntax): Promise<boolean> {
  const parser = new CsvParser(syntax, 0, [...LINE_ENDS, "\r"]);
  try {
    const taken = await parser.take(bytes);
    const rest = await parser.finish();
    return taken.records.length + rest.records.length > 1;
  } finally {
    parser.abandon();
  }
}

/** Parses CSV text piece by piece, and says to the byte where each record ends. Empty lines are no records. */
export class CsvParser {
  readonly #parser: Parser;
  #records: string[][] = [];
  #ends: number[] = [];

  constructor(syntax: CsvSyntax, start: number, lineEnds = LINE_ENDS) {
    this.#parser = parse({
      delimiter: syntax.delimiter,
      quote: syntax.quote,
      escape: syntax.escape,
      ...(syntax.comment === null ? {} : { comment: syntax.comment, comment_no_infix: true }),
      // Both named, so that a file may mix them; found by themselves, only the first one would count.
      record_delimiter: [...lineEnds],
      skip_empty_lines: true,
      // How many values a record must have is checked where the record is taken.
      relax_column_count: true,
      // Nothing passes through the stream's own buffer: with `on_record` the records come with their bytes, at once.
      on_record: (record: string[], { bytes }) => {
        this.#records.push(record);
        this.#ends.push(start + bytes);
        return null;
      },
    });
    // The callbacks of write and end get every error; without a listener the stream would throw it a second time.
    this.#parser.on("error", () => {});
  }

  /** The records that end in these bytes. The last of them may wait for the next bytes, or the end, to be sure. */
  async take(bytes: Buffer): Promise<CsvRecords> {
    return await this.#run((done) => this.#parser.write(bytes, done));
  }

  /** The records that only the end of the text ends. */
  async finish(): Promise<CsvRecords> {
    return await this.#run((done) => this.#parser.end(done));
  }

  /** Gives its memory back; for a parser that is left before its text is done. */
  abandon(): void {
    this.#parser.destroy();
  }

  async #run(step: (done: (error?: Error | null) => void) => void): Promise<CsvRecords> {
    const problem = await new Promise<CsvRecords["problem"]>((resolve, reject) => {
      step((error) => {
        if (error === null || error === undefined) resolve(null);
        else if (!(error instanceof CsvError)) reject(error);
        else resolve(error.code === "CSV_QUOTE_NOT_CLOSED" ? "open-quote" : "stray-quote");
      });
    });
    const taken = { records: this.#records, ends: this.#ends, problem };
    this.#records = [];
    this.#ends = [];
    return taken;
  }
}
