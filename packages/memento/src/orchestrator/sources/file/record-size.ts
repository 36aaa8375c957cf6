import { brokenRecord } from "./broken-record.ts";
import type { InputFile } from "./input-file.ts";

/** The longest record that a text file may hold unless its reader is told otherwise: 64 MiB. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;

/** Throws RECORD_INVALID for a record that is not done after `recordBytesMax`: one open quote would else take all memory. */
export async function checkRecordBytes(
  file: InputFile,
  record: { readonly byte: number; readonly record: number; readonly length: number; readonly recordBytesMax: number },
): Promise<void> {
  if (record.length <= record.recordBytesMax) return;
  const problem = `has no end within ${record.recordBytesMax} bytes`;
  const hint = "Mend the file, or let records be longer by the option `recordBytesMax`.";
  throw await brokenRecord(file, { code: "RECORD_INVALID", byte: record.byte, record: record.record, problem, hint });
}
