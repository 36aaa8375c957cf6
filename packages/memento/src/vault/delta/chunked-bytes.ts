import { keepShape } from "../../core/shapes.ts";

const CHUNK_BYTES = 262_144;
/** A UTF-16 unit takes three bytes of UTF-8 at most. */
const UNIT_BYTES_MAX = 3;

/** Bytes that are written one after the other, however many, and then taken out again in that order. What was written is never moved. */
export class ChunkedBytes {
  readonly #full: Buffer[] = [];
  #chunk: Buffer = Buffer.alloc(0);
  #length = 0;
  #taken = { chunk: 0, bytes: 0 };

  /** Appends a text as UTF-8 and one byte; gives the number of all bytes. */
  push(text: string, byte: number): number {
    const most = text.length * UNIT_BYTES_MAX + 1;
    if (this.#length + most > this.#chunk.length) {
      this.#close();
      this.#chunk = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, most));
    }
    const written = this.#chunk.write(text, this.#length);
    this.#chunk[this.#length + written] = byte;
    this.#length += written + 1;
    return written + 1;
  }

  /** Copies the next `length` bytes to a place in `target`. */
  take(target: Buffer, at: number, length: number): void {
    this.#close();
    for (let left = length; left > 0;) {
      const chunk = this.#full[this.#taken.chunk];
      if (chunk === undefined) throw new RangeError("More bytes were asked for than were written");
      const copied = chunk.copy(target, at + length - left, this.#taken.bytes, this.#taken.bytes + left);
      left -= copied;
      this.#taken.bytes += copied;
      if (this.#taken.bytes === chunk.length) this.#taken = { chunk: this.#taken.chunk + 1, bytes: 0 };
    }
  }

  #close(): void {
    if (this.#length > 0) this.#full.push(this.#chunk.subarray(0, this.#length));
    this.#chunk = Buffer.alloc(0);
    this.#length = 0;
  }
}

keepShape(new ChunkedBytes());
