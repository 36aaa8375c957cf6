import { MementoError } from "../../core/errors.ts";

/** Lengths and offsets in a delta stay below this. */
export const DELTA_BYTES_MAX = 0x7fff_ffff;

/** A growing list of varints: 7 bits to a byte, lowest first, the high bit set on all bytes but the last. */
export class VarintWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** Appends a whole number from 0 to 2^32 - 1. */
  push(value: number): void {
    if (this.#length + 5 > this.#bytes.length) this.#grow();
    const bytes = this.#bytes;
    let rest = value;
    while (rest > 0x7f) {
      bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.#length++] = rest;
  }

  /** What was appended so far; valid until the next append. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(): void {
    const grown = new Uint8Array(this.#bytes.length * 2);
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** Reads varints one after the other; DAMAGED for one that is cut, longer than it need be, or past 2^32 - 1. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    const first = this.#bytes[this.position];
    if (first !== undefined && first < 0x80) {
      this.position += 1;
      return first;
    }
    const second = this.#bytes[this.position + 1];
    if (first !== undefined && second !== undefined && second > 0 && second < 0x80) {
      this.position += 2;
      return (first & 0x7f) | (second << 7);
    }
    return this.#nextLong();
  }

  #nextLong(): number {
    let value = 0;
    for (let index = 0; index < 5; index++) {
      const byte = this.#bytes[this.position++];
      if (byte === undefined) throw new MementoError("DAMAGED", "A delta ends inside a number");
      value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) {
        if (byte === 0 || value > 0xffff_ffff) break;
        return value;
      }
    }
    throw new MementoError("DAMAGED", "A delta has a malformed number");
  }
}

/** Maps a difference below 2^31 to a whole number: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ... */
export const zigzag = (difference: number): number => (difference >= 0 ? difference * 2 : -difference * 2 - 1);

/** The inverse of `zigzag`. */
export const unzigzag = (value: number): number => (value >>> 1) ^ -(value & 1);
