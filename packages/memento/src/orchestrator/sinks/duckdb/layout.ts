/** Where a part of a database file is. The engine writes each at one go: 8 bytes of checksum, then what they are of. */
export interface Region {
  readonly offset: number;
  readonly length: number;
}

const HEADER_BYTES = 4_096;

/** The file's own header, and the two in which checkpoints are told, by turns. */
export const HEADERS: readonly Region[] = [0, 1, 2].map((place) => ({
  offset: place * HEADER_BYTES,
  length: HEADER_BYTES,
}));

const CHECKSUM_BYTES = 8;
const CHECKSUM_START = 5_381n;
const CHECKSUM_FACTOR = 0xbf58476d1ce4e5b9n;

/** True where the bytes are as the engine wrote them, by its own checksum (`src/common/checksum.cpp`); takes milliseconds for a block. */
export function isWhole(part: Buffer): boolean {
  if (part.length <= CHECKSUM_BYTES) return false;
  let checksum = CHECKSUM_START;
  for (let at = CHECKSUM_BYTES; at + 8 <= part.length; at += 8) {
    checksum ^= BigInt.asUintN(64, part.readBigUInt64LE(at) * CHECKSUM_FACTOR);
  }
  return part.readBigUInt64LE(0) === checksum;
}

/** The header that tells of the newest checkpoint, of the three; null where neither is whole. */
export function newestHeader([, first, second]: readonly Buffer[]): Buffer | null {
  const whole = [second, first].filter((header) => header !== undefined && isWhole(header));
  const [one, other] = whole as Buffer[];
  if (one === undefined || other === undefined) return one ?? null;
  return iterationOf(other) > iterationOf(one) ? other : one;
}

function iterationOf(header: Buffer): bigint {
  return header.readBigUInt64LE(8);
}

/** Where a block is, in a file with this header. */
export function blockRegion(header: Buffer, block: number): Region {
  const length = Number(header.readBigUInt64LE(40));
  return { offset: HEADERS.length * HEADER_BYTES + block * length, length };
}
