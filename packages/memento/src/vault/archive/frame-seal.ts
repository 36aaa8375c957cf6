import { createCipheriv, createDecipheriv, createHash } from "node:crypto";

import { damaged } from "./layout.ts";

const TAG_BYTES = 16;
const DIGEST_BYTES = 32;

/** What tells a frame from every other one: its file, its place in it, its length and whether it is the last. */
export interface FramePlace {
  /** SHA-256 of all bytes before the first frame. */
  readonly headerDigest: Uint8Array;
  /** From 0. */
  readonly index: number;
  /** The four bytes before the frame: its length and the mark of the last one. */
  readonly word: Uint8Array;
}

/** The bytes that a guard adds to a frame. */
export const guardBytes = (key: Uint8Array | null): number => (key === null ? DIGEST_BYTES : TAG_BYTES);

/** Seals a frame under the file's key; null only guards it against accidents. */
export function sealFrame(packed: Uint8Array, key: Uint8Array | null, place: FramePlace): Uint8Array {
  if (key === null) return Buffer.concat([packed, guardOf(packed, place)]);
  const cipher = createCipheriv("aes-256-gcm", key, nonceOf(place.index)).setAAD(boundOf(place));
  return Buffer.concat([cipher.update(packed), cipher.final(), cipher.getAuthTag()]);
}

/** Opens a frame. DAMAGED, naming the file, unless it is exactly what was sealed at this place. */
export function openFrame(sealed: Uint8Array, key: Uint8Array | null, place: FramePlace, where: string): Uint8Array {
  const problem = `frame ${place.index + 1} was changed, or another one stands in its place`;
  if (key === null) {
    const packed = sealed.subarray(0, -DIGEST_BYTES);
    if (guardOf(packed, place).equals(sealed.subarray(-DIGEST_BYTES))) return packed;
    throw damaged(where, problem);
  }
  try {
    const opener = createDecipheriv("aes-256-gcm", key, nonceOf(place.index), { authTagLength: TAG_BYTES });
    opener.setAAD(boundOf(place)).setAuthTag(sealed.subarray(-TAG_BYTES));
    return Buffer.concat([opener.update(sealed.subarray(0, -TAG_BYTES)), opener.final()]);
  } catch (cause) {
    throw damaged(where, problem, cause);
  }
}

/** The key seals this one file, so that the frame's number is a nonce that never comes twice. */
function nonceOf(index: number): Uint8Array {
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64BE(BigInt(index), 4);
  return nonce;
}

const boundOf = ({ headerDigest, word }: FramePlace): Uint8Array => Buffer.concat([headerDigest, word]);

function guardOf(packed: Uint8Array, { headerDigest, index, word }: FramePlace): Buffer {
  return createHash("sha256").update(headerDigest).update(nonceOf(index)).update(word).update(packed).digest();
}
