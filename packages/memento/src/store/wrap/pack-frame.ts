import { createHash } from "node:crypto";

import type { PackBytes } from "./pack-cache.ts";

const MAGIC = Buffer.from("MPC1", "latin1");
const DIGEST_BYTES = 32;

/** A pack as one value: a mark, the header's length, header, body, and a SHA-256 over all of that. */
export function framePack({ header, body }: PackBytes): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(header.byteLength);
  const parts = [MAGIC, length, header, body];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return Buffer.concat([...parts, hash.digest()]);
}

/** The pack in such a value; null for anything else, and for one that was changed or cut. */
export function unframePack(value: Buffer): PackBytes | null {
  const start = MAGIC.length + 4;
  const end = value.length - DIGEST_BYTES;
  if (end < start || !value.subarray(0, MAGIC.length).equals(MAGIC)) return null;
  const bodyStart = start + value.readUInt32BE(MAGIC.length);
  if (bodyStart > end) return null;
  if (!createHash("sha256").update(value.subarray(0, end)).digest().equals(value.subarray(end))) return null;
  return { header: value.subarray(start, bodyStart), body: value.subarray(bodyStart, end) };
}
