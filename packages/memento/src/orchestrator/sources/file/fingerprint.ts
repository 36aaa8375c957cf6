import { sha256 } from "../../../core/digest.ts";
import type { InputFile } from "./input-file.ts";
import { readExactly } from "./input-file.ts";

const HEAD_BYTES = 64 * 1024;
const TAIL_BYTES = 4 * 1024;

/**
 * Gives the fingerprint of what a file holds before a byte: a SHA-256 over its first 64 KiB and over the last 4 KiB
 * before that byte. It stays the same while a file grows at its end, changes when the file is replaced by another, and
 * costs 4 KiB of reading each once the byte is past the first 64 KiB.
 */
export function prefixFingerprints(file: InputFile): (byte: number) => Promise<string> {
  let wholeHead: string | null = null;
  return async (byte) => {
    const headBytes = Math.min(byte, HEAD_BYTES);
    const head = wholeHead ?? sha256(await readExactly(file, 0, headBytes));
    if (headBytes === HEAD_BYTES) wholeHead = head;
    const tailBytes = Math.min(byte, TAIL_BYTES);
    const tail = sha256(await readExactly(file, byte - tailBytes, tailBytes));
    return sha256(`${head} ${tail}`);
  };
}

/** The fingerprint of a file that never grows: a SHA-256 over its length, its first and its last 64 KiB, or over what its place says of it. */
export async function wholeFingerprint(read: InputFile): Promise<string> {
  const file = read.view?.of ?? read;
  if (file.identity !== undefined) return sha256(file.identity);
  const size = await file.size();
  const ends = Math.min(size, HEAD_BYTES);
  const head = sha256(await readExactly(file, 0, ends));
  const tail = sha256(await readExactly(file, size - ends, ends));
  return sha256(`${size} ${head} ${tail}`);
}
