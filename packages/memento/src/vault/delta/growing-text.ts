const FIRST_BYTES = 65_536;

/** Texts written one after the other as UTF-8. */
export class GrowingText {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  /** Appends a text and gives the number of its bytes. */
  push(text: string): number {
    // A UTF-16 unit takes three bytes at most.
    const most = this.#length + text.length * 3;
    if (most > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(most, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, this.#length);
      this.#buffer = grown;
    }
    const written = this.#buffer.write(text, this.#length);
    this.#length += written;
    return written;
  }

  /** Appends one byte. */
  pushByte(byte: number): void {
    if (this.#length === this.#buffer.length) this.push(" ");
    else this.#length += 1;
    this.#buffer[this.#length - 1] = byte;
  }

  /** What was written; valid until the next append. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}
