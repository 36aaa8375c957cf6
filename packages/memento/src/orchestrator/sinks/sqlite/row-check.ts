/** A value as SQLite stores it: INTEGER comes as bigint, REAL as number. */
export type StoredValue = null | bigint | number | string | Uint8Array;

const LANE_A = 0x9e3779b1;
const LANE_B = 0x85ebca77;
const NULL_TAG = 0x11;
const INTEGER_TAG = 0x22;
const REAL_TAG = 0x33;
const TEXT_TAG = 0x44;
const BLOB_TAG = 0x55;

/** Where a number's bytes are taken from, little end first on every machine. */
const scratch = new DataView(new ArrayBuffer(8));

/**
 * The check of a row: 64 bits over the stored type and value of each column, in their order. Two lanes of 32 bits, each a
 * multiply and xor-shift for every word, each finished as MurmurHash3 does. It finds changes; it does not withstand a
 * forger, who could as well change the journal beside it. 1 us a row where SHA-256 takes 2. The values it gives are
 * kept in databases: they must never change.
 */
export class RowCheck {
  #a = 0;
  #b = 0;

  /** Checks `values` from index `from` on. */
  update(values: readonly unknown[], from: number): void {
    this.#a = LANE_B ^ (values.length - from);
    this.#b = LANE_A ^ (values.length - from);
    for (let index = from; index < values.length; index++) this.#value(values[index] as StoredValue);
    this.#a = finish(this.#a);
    this.#b = finish(this.#b);
  }

  /** Writes the 8 bytes of the last check to `view`. */
  writeTo(view: DataView, offset: number): void {
    view.setInt32(offset, this.#a, true);
    view.setInt32(offset + 4, this.#b, true);
  }

  /** The last check as SQLite keeps it in an INTEGER: what `writeTo` wrote, read as one little-endian number. */
  current(): bigint {
    this.writeTo(scratch, 0);
    return scratch.getBigInt64(0, true);
  }

  #value(value: StoredValue): void {
    if (typeof value === "string") this.#text(value);
    else if (typeof value === "bigint") {
      scratch.setBigInt64(0, value, true);
      this.#number(INTEGER_TAG);
    } else if (typeof value === "number") {
      scratch.setFloat64(0, value, true);
      this.#number(REAL_TAG);
    } else if (value === null) this.#word(NULL_TAG);
    else this.#blob(value);
  }

  #number(tag: number): void {
    const low = scratch.getInt32(0, true);
    const high = scratch.getInt32(4, true);
    this.#word(tag);
    this.#word(low);
    this.#word(high);
  }

  #text(text: string): void {
    this.#word(TEXT_TAG);
    this.#word(text.length);
    let a = this.#a;
    let b = this.#b;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      a = Math.imul(a ^ unit, LANE_A);
      a ^= a >>> 15;
      b = Math.imul(b ^ unit, LANE_B);
      b ^= b >>> 13;
    }
    this.#a = a;
    this.#b = b;
  }

  #blob(bytes: Uint8Array): void {
    this.#word(BLOB_TAG);
    this.#word(bytes.length);
    for (const byte of bytes) this.#word(byte);
  }

  #word(word: number): void {
    const a = Math.imul(this.#a ^ word, LANE_A);
    const b = Math.imul(this.#b ^ word, LANE_B);
    this.#a = a ^ (a >>> 15);
    this.#b = b ^ (b >>> 13);
  }
}

function finish(lane: number): number {
  let mixed = lane ^ (lane >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}
