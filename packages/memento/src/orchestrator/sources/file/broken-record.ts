import { MementoError } from "../../../core/errors.ts";
import type { InputFile } from "./input-file.ts";

/** What is wrong with a text file, and where. */
export interface Breakage {
  /** INPUT_CUT: the file ends too early. RECORD_INVALID: what is there is wrong. */
  readonly code: "INPUT_CUT" | "RECORD_INVALID";
  /** Where the broken record begins. */
  readonly byte: number;
  /** Which record it is, from 1 on, where that is known. */
  readonly record?: number;
  /** The end of the sentence; never holds anything of the record itself. */
  readonly problem: string;
  /** The way out, where it is another one than to mend the file. */
  readonly hint?: string;
}

const HINTS = {
  INPUT_CUT: undefined,
  RECORD_INVALID: "Mend the file: what cannot be read reaches no stage that could set it aside.",
} as const;

/** The error for a record that cannot be taken; names file, line and byte. Reads the file up to there to count its lines. */
export async function brokenRecord(
  file: InputFile,
  { code, byte, record, problem, hint = HINTS[code] }: Breakage,
): Promise<MementoError> {
  const line = await lineOf(file, byte);
  const who = record === undefined ? "" : `record ${record} `;
  return new MementoError(code, `${file.path}, line ${line} (byte ${byte}): ${who}${problem}`, {
    details: { path: file.path, line, byte, ...(record === undefined ? {} : { record }) },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** The line, from 1 on, in which a byte of the file stands. */
async function lineOf(file: InputFile, byte: number): Promise<number> {
  const bytes = Buffer.allocUnsafeSlow(256 * 1024);
  let line = 1;
  for (let position = 0; position < byte;) {
    const read = bytes.subarray(
      0,
      await file.readAt(position, bytes.subarray(0, Math.min(bytes.length, byte - position))),
    );
    if (read.length === 0) break;
    for (let at = read.indexOf(0x0a); at !== -1; at = read.indexOf(0x0a, at + 1)) line += 1;
    position += read.length;
  }
  return line;
}
