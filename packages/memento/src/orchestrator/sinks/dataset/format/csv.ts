import { rowValue } from "../../../../core/row-value.ts";
import { rowField } from "../../row-field.ts";
import { type Columns, columnValue, type DatasetColumnType, recordOf, refusal, refuseUnknown } from "./columns.ts";
import { type DataFormat, textChunks } from "./data-format.ts";
import { base64, jsonText } from "./json-text.ts";

const END_OF_LINE = "\r\n";
const NO_LINE = "is null, which a CSV file of one column has no line for";

/** RFC 4180: one header, commas, CRLF, quotes where they are needed. Null is an empty field, empty text is `""`. */
export const csvFormat: DataFormat = {
  ending: "csv",
  needsColumns: true,
  async *encode(slice, columns) {
    yield header(columns ?? {});
    const fields = Object.entries(columns ?? {});
    yield* textChunks(slice, (row, index) => {
      const record = recordOf(row, index);
      refuseUnknown(record, columns ?? {}, index);
      const line = fields
        .map(([name, type]) => fieldText(rowValue(record, name), type, () => rowField(index, name)))
        .join(",");
      // With one column, null would be an empty line, which readers skip.
      if (line === "") throw refusal("UNSUPPORTED_VALUE", rowField(index, fields[0]?.[0] ?? ""), NO_LINE);
      return line + END_OF_LINE;
    });
  },
  async *merge(files, columns) {
    const start = header(columns ?? {});
    yield start;
    // Each file begins with the same header, byte for byte: its columns are the same.
    for (const file of files) yield file.subarray(start.byteLength);
  },
};

function header(columns: Columns): Uint8Array {
  return Buffer.from(Object.keys(columns).map(quoted).join(",") + END_OF_LINE);
}

function fieldText(given: unknown, type: DatasetColumnType, item: () => string): string {
  const value = columnValue(given, type, item);
  if (value === null) return "";
  if (typeof value === "string" && type !== "json") return quoted(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return value.byteLength === 0 ? '""' : base64(value);
  const text = jsonText(value, item);
  return type === "json" ? quoted(text) : text;
}

/** A line of one empty field would be an empty line, which readers skip: so empty text is always quoted. */
function quoted(text: string): string {
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
