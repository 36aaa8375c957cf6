import { MementoError } from "../../../core/errors.ts";

/** How the characters of a text file are written. `utf-16` goes by the file's byte order mark, and is little-endian without one. */
export type TextEncoding = "utf-8" | "utf-16" | "utf-16le" | "utf-16be" | "latin1" | "windows-1252";

const ENCODINGS: readonly TextEncoding[] = ["utf-8", "utf-16", "utf-16le", "utf-16be", "latin1", "windows-1252"];

/** What Windows has at 80 to 9F; the five places that it leaves empty stay the control characters that they are in Latin-1. */
const WINDOWS_1252 = "€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ";

/** INVALID_ARGUMENT for an encoding that is not known. */
export function checkEncoding(encoding: TextEncoding): TextEncoding {
  if (ENCODINGS.includes(encoding)) return encoding;
  throw new MementoError("INVALID_ARGUMENT", `encoding takes ${ENCODINGS.join(", ")}, not ${JSON.stringify(encoding)}`);
}

/** What is decoded, and how. */
export interface DecodeOptions {
  readonly path: string;
  readonly encoding: TextEncoding;
  /** True: a text that ends inside a character is still being written, and that beginning is left alone. */
  readonly stillWritten: boolean;
}

/**
 * Text of any encoding as UTF-8, piece by piece. RECORD_INVALID, after all that is sound, where it is not of that encoding;
 * INPUT_CUT where it ends inside a character.
 */
export async function* decodedText(
  chunks: AsyncIterable<Buffer>,
  { path, encoding, stillWritten }: DecodeOptions,
): AsyncGenerator<Buffer> {
  if (encoding === "utf-8") {
    yield* chunks;
    return;
  }
  if (encoding === "latin1" || encoding === "windows-1252") {
    for await (const chunk of chunks) yield Buffer.from(singleBytes(chunk, encoding), "utf8");
    return;
  }
  let carried: Buffer = Buffer.alloc(0);
  let bigEndian = encoding === "utf-16" ? null : encoding === "utf-16be";
  let byte = 0;
  for await (const chunk of chunks) {
    const bytes = carried.length === 0 ? chunk : Buffer.concat([carried, chunk]);
    carried = bytes;
    if (bytes.length < 2) continue;
    bigEndian ??= bytes[0] === 0xfe && bytes[1] === 0xff;
    const whole = wholeUnits(bytes, bigEndian);
    const text = utf16(bytes.subarray(0, whole), bigEndian);
    const sound = text.isWellFormed() ? text.length : text.search(/\p{Surrogate}/u);
    if (sound > 0) yield Buffer.from(text.slice(0, sound), "utf8");
    if (sound < text.length) {
      const message = `${path} (byte ${byte + 2 * sound}): the text is not UTF-16`;
      throw new MementoError("RECORD_INVALID", message, { details: { path, byte: byte + 2 * sound } });
    }
    carried = bytes.subarray(whole);
    byte += whole;
  }
  if (carried.length === 0 || stillWritten) return;
  throw new MementoError("INPUT_CUT", `${path} (byte ${byte}): the file ends inside a character`, {
    details: { path, byte },
  });
}

function singleBytes(bytes: Buffer, encoding: "latin1" | "windows-1252"): string {
  const text = bytes.toString("latin1");
  if (encoding === "latin1") return text;
  return text.replaceAll(/[\u0080-\u009f]/gu, (control) => WINDOWS_1252[control.charCodeAt(0) - 0x80] ?? control);
}

/** How many bytes are whole characters: no half unit, and no first half of a pair, at the end. */
function wholeUnits(bytes: Buffer, bigEndian: boolean): number {
  const even = bytes.length - (bytes.length % 2);
  const last = bigEndian ? bytes.readUInt16BE(even - 2) : bytes.readUInt16LE(even - 2);
  return last >= 0xd800 && last <= 0xdbff ? even - 2 : even;
}

function utf16(bytes: Buffer, bigEndian: boolean): string {
  return (bigEndian ? Buffer.from(bytes).swap16() : bytes).toString("utf16le");
}
