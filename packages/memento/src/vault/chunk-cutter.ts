import { hash } from "node:crypto";

/** The least bytes of a chunk that is not the last one. */
export const CHUNK_BYTES_MIN = 65_536;
/** What chunks have on average, about. */
const CHUNK_BYTES_AVERAGE = 262_144;
/** The most bytes of a chunk. */
export const CHUNK_BYTES_MAX = 1_048_576;

// A cut is where the upper bits of the rolling hash are all zero: more of them before the average size and fewer after it,
// so that sizes keep close to it. 18 bits alone would give the average.
const SHIFT_BEFORE = 32 - 20;
const SHIFT_AFTER = 32 - 16;

/** 256 fixed random numbers, one for each byte. They are part of how chunks are found again: another table shares nothing with old chunks. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) =>
  hash("sha256", `memento gear 1 ${byte}`, "buffer").readInt32BE(0),
);

/**
 * Cuts a stream of bytes into chunks where its content says so: a change moves only the cuts near it, so what is before
 * and after it falls into the same chunks as ever, wherever it has moved to. The cuts depend on nothing but the content.
 *
 * The algorithm is FastCDC with a gear hash and normalised chunking (Xia et al., "FastCDC: a Fast and Efficient
 * Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016). Holds at most `CHUNK_BYTES_MAX` bytes.
 */
export class ChunkCutter {
  readonly #pending = Buffer.allocUnsafeSlow(CHUNK_BYTES_MAX);
  #filled = 0;
  /** How far the pending bytes were looked at, and the hash there. */
  #position = CHUNK_BYTES_MIN;
  #hash = 0;

  /** Takes bytes in, and gives each chunk that they end. A chunk is the caller's own copy. */
  *push(bytes: Uint8Array): Generator<Uint8Array> {
    for (let taken = 0; taken < bytes.length;) {
      const part = bytes.subarray(taken, taken + CHUNK_BYTES_MAX - this.#filled);
      this.#pending.set(part, this.#filled);
      this.#filled += part.length;
      taken += part.length;
      for (let end = this.#findCut(); end > 0; end = this.#findCut()) yield this.#cutAt(end);
    }
  }

  /** The last chunk: what is left, if anything is. */
  *finish(): Generator<Uint8Array> {
    if (this.#filled > 0) yield this.#cutAt(this.#filled);
  }

  /** Where the first pending chunk ends; 0 while that cannot be told. */
  #findCut(): number {
    const [bytes, end] = [this.#pending, this.#filled];
    let [position, rolling] = [this.#position, this.#hash];
    const middle = Math.min(end, CHUNK_BYTES_AVERAGE);
    for (; position < middle; position++) {
      rolling = ((rolling << 1) + (GEAR[bytes[position] ?? 0] ?? 0)) | 0;
      if (rolling >>> SHIFT_BEFORE === 0) return position + 1;
    }
    for (; position < end; position++) {
      rolling = ((rolling << 1) + (GEAR[bytes[position] ?? 0] ?? 0)) | 0;
      if (rolling >>> SHIFT_AFTER === 0) return position + 1;
    }
    [this.#position, this.#hash] = [position, rolling];
    return end === CHUNK_BYTES_MAX ? end : 0;
  }

  #cutAt(end: number): Uint8Array {
    const chunk = Uint8Array.from(this.#pending.subarray(0, end));
    this.#pending.copy(this.#pending, 0, end, this.#filled);
    this.#filled -= end;
    [this.#position, this.#hash] = [CHUNK_BYTES_MIN, 0];
    return chunk;
  }
}
