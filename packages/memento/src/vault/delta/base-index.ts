/** Every so many bytes of the base there is a block that can be found by its content. */
const STRIDE = 64;
/** What can be found must be a stretch of STRIDE + BLOCK_BYTES - 1 at least. */
export const BLOCK_BYTES = 16;

/**
 * Finds where bytes of one text stand in another: a table of the base's blocks by hash. One of several equal blocks is
 * kept, the first. It can be built bit by bit.
 */
export class BaseIndex {
  readonly #view: DataView;
  readonly #blocks: number;
  readonly #shift: number;
  /** Pairs: a hash, and the number of a block plus one. */
  readonly #table: Int32Array;
  #built = 0;

  constructor(view: DataView) {
    this.#view = view;
    this.#blocks = Math.max(0, Math.floor((view.byteLength - BLOCK_BYTES) / STRIDE) + 1);
    const bits = Math.max(4, Math.ceil(Math.log2(this.#blocks + 1)) + 1);
    this.#shift = 32 - bits;
    this.#table = new Int32Array(2 << bits);
  }

  get complete(): boolean {
    return this.#built === this.#blocks;
  }

  /** Adds up to `count` more blocks. */
  build(count: number): void {
    const table = this.#table;
    const end = Math.min(this.#blocks, this.#built + count);
    for (let block = this.#built; block < end; block++) {
      const hash = blockHash(this.#view, block * STRIDE);
      const slot = (hash >>> this.#shift) * 2;
      if (table[slot + 1] === 0) {
        table[slot] = hash;
        table[slot + 1] = block + 1;
      } else if (table[slot] !== hash && table[(slot ^ 2) | 1] === 0) {
        table[slot ^ 2] = hash;
        table[(slot ^ 2) | 1] = block + 1;
      }
    }
    this.#built = end;
  }

  /** Where the base has a block with the hash of `view`'s bytes at `position`; -1 when nowhere. The bytes are for the caller to compare. */
  lookUp(view: DataView, position: number): number {
    const table = this.#table;
    const hash = blockHash(view, position);
    const slot = (hash >>> this.#shift) * 2;
    if (table[slot] === hash) return ((table[slot + 1] ?? 0) - 1) * STRIDE;
    if (table[slot ^ 2] === hash) return ((table[(slot ^ 2) | 1] ?? 0) - 1) * STRIDE;
    return -1;
  }
}

function blockHash(view: DataView, position: number): number {
  const mixed =
    Math.imul(view.getInt32(position, true), 0x9e37_79b1) +
    Math.imul(view.getInt32(position + 4, true), 0x85eb_ca77) +
    Math.imul(view.getInt32(position + 8, true), 0xc2b2_ae3d) +
    Math.imul(view.getInt32(position + 12, true), 0x27d4_eb2f);
  return Math.imul(mixed ^ (mixed >>> 15), 0x2545_f491);
}
