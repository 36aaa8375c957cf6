import { isUtf8 } from "node:buffer";

import { throwIfCancelled } from "../cancellation.ts";
import { brokenRecord } from "./broken-record.ts";
import type { InputFile } from "./input-file.ts";

const CHUNK_BYTES = 256 * 1024;

/** Whole characters of a text file. */
export interface Utf8Chunk {
  readonly bytes: Buffer;
  /** Where in the file they begin. */
  readonly start: number;
}

/** How to read text. */
export interface Utf8Options {
  readonly signal: AbortSignal;
  /** True: a file that ends inside a character is still being written, and that beginning is left alone. */
  readonly stillWritten?: boolean;
}

/**
 * Reads a file from `start` on in pieces of about 256 KiB that are whole UTF-8 characters; everything sound before an
 * error is given first. RECORD_INVALID for bytes that are not UTF-8, INPUT_CUT for a file that ends inside a character.
 */
export async function* utf8Chunks(file: InputFile, start: number, options: Utf8Options): AsyncGenerator<Utf8Chunk> {
  const { signal, stillWritten = false } = options;
  let carried: Buffer = Buffer.alloc(0);
  for (let position = start; ;) {
    throwIfCancelled(signal, file.path);
    const bytes = Buffer.allocUnsafeSlow(carried.length + CHUNK_BYTES);
    carried.copy(bytes);
    const filled = carried.length + (await file.readAt(position + carried.length, bytes.subarray(carried.length)));
    const ended = filled < bytes.length;
    const read = bytes.subarray(0, filled);
    const whole = soundLength(read);
    if (whole > 0) yield { bytes: read.subarray(0, whole), start: position };
    position += whole;
    carried = read.subarray(whole);
    if (carried.length > 0 && !mayBegin(carried)) {
      throw await brokenRecord(file, {
        code: "RECORD_INVALID",
        byte: position,
        problem: "the text is not UTF-8",
        hint: 'Say by the option `encoding` in what it is written, as in encoding: "windows-1252"; or mend the file.',
      });
    }
    if (!ended) continue;
    // A text that is read out of another file ends early where that one is broken: it tells so when it is asked for more.
    if (file.view !== undefined) await file.readAt(position + carried.length, new Uint8Array(1));
    if (carried.length === 0 || stillWritten) return;
    throw await brokenRecord(file, { code: "INPUT_CUT", byte: position, problem: "the file ends inside a character" });
  }
}

const BOM = [0xef, 0xbb, 0xbf];

/** Where a file's text begins: after its byte order mark, where it has one. */
export async function textStart(file: InputFile): Promise<number> {
  const first = new Uint8Array(BOM.length);
  const filled = await file.readAt(0, first);
  return filled === BOM.length && BOM.every((byte, index) => first[index] === byte) ? BOM.length : 0;
}

/** How many bytes from the start on are whole characters. */
function soundLength(bytes: Buffer): number {
  if (isUtf8(bytes)) return bytes.length;
  const last = lastCharacter(bytes);
  if (isUtf8(bytes.subarray(0, last))) return last;
  // Whether text can begin so is true up to some length and false from there on, so that length can be bisected.
  let sound = 0;
  let unsound = bytes.length;
  while (unsound - sound > 1) {
    const middle = (sound + unsound) >> 1;
    if (mayBegin(bytes.subarray(0, middle))) sound = middle;
    else unsound = middle;
  }
  const beginning = bytes.subarray(0, sound);
  return isUtf8(beginning) ? sound : lastCharacter(beginning);
}

/** Where the last character begins, whole or not. */
function lastCharacter(bytes: Buffer): number {
  let index = bytes.length - 1;
  while (index > 0 && ((bytes[index] ?? 0) & 0xc0) === 0x80) index -= 1;
  return Math.max(index, 0);
}

/** True when UTF-8 text can begin with these bytes. */
function mayBegin(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
