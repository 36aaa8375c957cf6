/** The two texts of a diff, and how far they are alike from a place on. */
export class BytePair {
  readonly base: Buffer;
  readonly next: Buffer;
  readonly baseView: DataView;
  readonly nextView: DataView;

  constructor(base: Uint8Array, next: Uint8Array) {
    this.base = Buffer.from(base.buffer, base.byteOffset, base.byteLength);
    this.next = Buffer.from(next.buffer, next.byteOffset, next.byteLength);
    this.baseView = new DataView(base.buffer, base.byteOffset, base.byteLength);
    this.nextView = new DataView(next.buffer, next.byteOffset, next.byteLength);
  }

  /** How many bytes, `most` at most, are equal from `baseStart` and `nextStart` on. */
  alikeForward(baseStart: number, nextStart: number, most: number): number {
    const limit = Math.min(most, this.base.length - baseStart, this.next.length - nextStart);
    const short = Math.min(limit, SCAN_BYTES);
    let alike = this.#scan(baseStart, nextStart, 0, short);
    if (alike < short) return alike;
    // A native compare costs as much as a loop over 100 bytes, and then runs at 15 GB/s: chunks grow until one differs,
    let chunk = SCAN_BYTES;
    while (alike < limit) {
      const end = Math.min(limit, alike + chunk);
      if (!this.#equal(baseStart, nextStart, alike, end)) break;
      alike = end;
      if (chunk < CHUNK_BYTES_MAX) chunk *= 4;
    }
    if (alike === limit) return limit;
    // and then shrink until the rest is a loop's work.
    while (chunk > SCAN_BYTES) {
      chunk /= 4;
      while (alike + chunk <= limit && this.#equal(baseStart, nextStart, alike, alike + chunk)) alike += chunk;
    }
    return this.#scan(baseStart, nextStart, alike, limit);
  }

  /** How many bytes, `most` at most, are equal before `baseEnd` and `nextEnd`. */
  alikeBackward(baseEnd: number, nextEnd: number, most: number): number {
    const { base, next } = this;
    const limit = Math.min(most, baseEnd, nextEnd);
    let alike = 0;
    while (alike < limit && base[baseEnd - 1 - alike] === next[nextEnd - 1 - alike]) alike++;
    return alike;
  }

  #equal(baseStart: number, nextStart: number, from: number, to: number): boolean {
    return this.base.compare(this.next, nextStart + from, nextStart + to, baseStart + from, baseStart + to) === 0;
  }

  #scan(baseStart: number, nextStart: number, from: number, to: number): number {
    const { base, next, baseView, nextView } = this;
    let at = from;
    while (at + 4 <= to && baseView.getInt32(baseStart + at, true) === nextView.getInt32(nextStart + at, true)) at += 4;
    while (at < to && base[baseStart + at] === next[nextStart + at]) at++;
    return at;
  }
}

const SCAN_BYTES = 64;
const CHUNK_BYTES_MAX = 65_536;
