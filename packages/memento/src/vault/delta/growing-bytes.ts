import { keepShape } from "../../core/shapes.ts";

/** Bytes written one after the other. */
export class GrowingBytes {
  #buffer: Buffer;
  #length = 0;

  /** `firstBytes` is how many are expected. */
  constructor(firstBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(1, firstBytes));
  }

  /** Appends a part of other bytes. */
  pushRange(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    this.#length += source.copy(this.#buffer, this.#length, start, end);
  }

  /** What was written; valid until the next append. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(more: number): void {
    const least = this.#length + more;
    if (least <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(least, this.#buffer.length * 2));
    this.#buffer.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
  }
}

keepShape(new GrowingBytes(1));
