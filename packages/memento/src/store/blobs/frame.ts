import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";

import { MementoError } from "../../core/errors.ts";

/** What a file of the store is; part of what its digest covers, so that one kind is never read as another. */
export type FrameKind =
  | "store"
  | "key"
  | "timeline"
  | "timeline-log"
  | "timeline-state"
  | "timeline-chapter"
  | "caretaker-log"
  | "caretaker-state"
  | "caretaker-chapter"
  | "lease"
  | "name"
  | "pack"
  | "pack-reclaimed"
  | "pack-replaced";

const MAGIC = "memento-file/1";
const FIRST_LINE = /^memento-file\/1 ([a-z-]{1,20}) ([0-9A-Za-z_-]{43})$/;
const FIRST_LINE_BYTES_MAX = 90;
const SLICE_BYTES = 1_048_576;

/** A file of the store, taken apart and found whole. */
export interface Frame {
  readonly kind: FrameKind;
  readonly digest: string;
  readonly payload: Uint8Array;
}

/**
 * Every file of the store is one line, `memento-file/1 KIND DIGEST`, and a payload. The digest is the SHA-256, base64url,
 * of KIND, a line feed and the payload. Gives the parts to write; hashing large payloads lets the event loop turn.
 */
export async function frame(kind: FrameKind, payload: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  const digest = await digestOf(kind, payload);
  return [Buffer.from(`${MAGIC} ${kind} ${digest}\n`, "latin1"), ...payload];
}

/** A frame around JSON text. */
export async function frameJson(kind: FrameKind, value: unknown): Promise<readonly Uint8Array[]> {
  return await frame(kind, [Buffer.from(`${JSON.stringify(value)}\n`, "utf8")]);
}

/** Takes a file apart; DAMAGED, naming the file, unless it is one of these kinds and exactly what was written. */
export async function openFrame(bytes: Uint8Array, kinds: readonly FrameKind[], file: string): Promise<Frame> {
  const lineEnd = bytes.indexOf(10);
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, FIRST_LINE_BYTES_MAX));
  const match = lineEnd === -1 ? null : FIRST_LINE.exec(start.toString("latin1", 0, lineEnd));
  const kind = kinds.find((wanted) => wanted === match?.[1]);
  if (kind === undefined) throw damagedFile(file, "it is cut, or does not begin as such a file does");
  const payload = bytes.subarray(lineEnd + 1);
  const digest = await digestOf(kind, [payload]);
  if (digest !== match?.[2]) throw damagedFile(file, "its bytes do not fit its digest");
  return { kind, digest, payload };
}

/** The value of a frame around JSON text, with the file's digest. */
export async function openJson<T>(
  bytes: Uint8Array,
  kind: FrameKind,
  file: string,
): Promise<{ readonly digest: string; readonly value: T }> {
  const { payload, digest } = await openFrame(bytes, [kind], file);
  // The digest has said that these are the bytes that were written, so they parse.
  return { digest, value: JSON.parse(Buffer.from(payload).toString("utf8")) as T };
}

/** The error for a file of the store that is not what was written. */
export function damagedFile(
  file: string,
  problem: string,
  details: Readonly<Record<string, unknown>> = {},
): MementoError {
  return new MementoError("DAMAGED", `The file ${file} is damaged: ${problem}`, { details: { file, ...details } });
}

/** The error for a file of the store that should be there and is not. */
export function missingFile(file: string, details: Readonly<Record<string, unknown>> = {}): MementoError {
  return new MementoError("DAMAGED", `The file ${file} is missing`, { details: { file, ...details } });
}

async function digestOf(kind: FrameKind, payload: readonly Uint8Array[]): Promise<string> {
  const hash = createHash("sha256").update(`${kind}\n`);
  for (const part of payload) {
    for (let offset = 0; offset < part.byteLength; offset += SLICE_BYTES) {
      if (offset > 0) await nextTurn();
      hash.update(part.subarray(offset, offset + SLICE_BYTES));
    }
  }
  return hash.digest("base64url");
}
