/** Bytes written one after the other. */
export class GrowingBytes {
  #buffer: Buffer;
  #length = 0;

  /** `firstBytes` is how many are expected. */
  constructor(firstBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(1, firstBytes));
  }

  /** Appends a text as UTF-8 and gives the number of its bytes. */
  pushText(text: string): number {
    // A UTF-16 unit takes three bytes at most.
    this.#reserve(text.length * 3);
    const written = this.#buffer.write(text, this.#length);
    this.#length += written;
    return written;
  }

  pushByte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = byte;
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
