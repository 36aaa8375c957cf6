import { rowValue } from "../../../../core/row-value.ts";
import { rowField } from "../../row-field.ts";
import { type Columns, columnValue, recordOf, refuseUnknown } from "./columns.ts";
import { type DataFormat, textChunks } from "./data-format.ts";
import { jsonText } from "./json-text.ts";

/** A JSON object and a line feed for each row. */
export const jsonlFormat: DataFormat = {
  ending: "jsonl",
  needsColumns: false,
  encode: (slice, columns) =>
    textChunks(slice, (row, index) => `${columns === null ? freeLine(row, index) : columnLine(row, index, columns)}\n`),
  async *merge(files) {
    yield* files;
  },
};

function freeLine(row: unknown, index: number): string {
  return jsonText(recordOf(row, index), () => `rows[${index}]`);
}

function columnLine(row: unknown, index: number, columns: Columns): string {
  const record = recordOf(row, index);
  refuseUnknown(record, columns, index);
  const members = Object.entries(columns).map(([name, type]) => {
    const item = (): string => rowField(index, name);
    return `${JSON.stringify(name)}:${jsonText(columnValue(rowValue(record, name), type, item), item)}`;
  });
  return `{${members.join(",")}}`;
}
