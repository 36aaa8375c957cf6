import { keepShape } from "../../core/shapes.ts";

/** Every so many bytes of the base there is a block that can be found by its content. */
const STRIDE = 64;
/** What can be found must be a stretch of STRIDE + BLOCK_BYTES - 1 at least. */
export const BLOCK_BYTES = 28;
/** An entry of the table is the number of a block plus one, and above it some bits of its hash. */
const NUMBER_BITS = 25;
const NUMBER_MASK = (1 << NUMBER_BITS) - 1;

/**
 * Finds where bytes of one text stand in another: a table of the base's blocks by hash. Of blocks that fall into one place
 * two are kept, the first ones. It can be built bit by bit.
 */
export class BaseIndex {
  readonly #view: DataView;
  readonly #stride: number;
  readonly #blocks: number;
  readonly #mask: number;
  readonly #table: Uint32Array;
  #built = 0;

  constructor(view: DataView) {
    this.#view = view;
    this.#stride = STRIDE;
    while (view.byteLength / this.#stride > NUMBER_MASK - 1) this.#stride *= 2;
    this.#blocks = Math.max(0, Math.floor((view.byteLength - BLOCK_BYTES) / this.#stride) + 1);
    const bits = Math.max(4, Math.ceil(Math.log2(this.#blocks * 1.25 + 1)));
    this.#mask = (1 << bits) - 1;
    this.#table = new Uint32Array(1 << bits);
  }

  get complete(): boolean {
    return this.#built === this.#blocks;
  }

  /** Adds up to `count` more blocks. */
  build(count: number): void {
    const table = this.#table;
    const mask = this.#mask;
    const stride = this.#stride;
    const end = Math.min(this.#blocks, this.#built + count);
    for (let block = this.#built; block < end; block++) {
      const hash = blockHash(this.#view, block * stride);
      const slot = hash & mask;
      const entry = ((hash & ~NUMBER_MASK) | (block + 1)) >>> 0;
      const first = table[slot] ?? 0;
      if (first === 0) table[slot] = entry;
      else if (((first ^ hash) & ~NUMBER_MASK) !== 0 && table[slot ^ 1] === 0) table[slot ^ 1] = entry;
    }
    this.#built = end;
  }

  /** Where the base may have the `BLOCK_BYTES` of `view` at `position`; -1 when nowhere. That they are equal is for the caller to see. */
  lookUp(view: DataView, position: number): number {
    const hash = blockHash(view, position);
    const slot = hash & this.#mask;
    const first = this.#table[slot] ?? 0;
    if (first === 0) return -1;
    if (((first ^ hash) & ~NUMBER_MASK) === 0) return ((first & NUMBER_MASK) - 1) * this.#stride;
    const second = this.#table[slot ^ 1] ?? 0;
    if (second === 0 || ((second ^ hash) & ~NUMBER_MASK) !== 0) return -1;
    return ((second & NUMBER_MASK) - 1) * this.#stride;
  }
}

/** Four words of the block: those between change with them in most texts, and cost as much again. */
function blockHash(view: DataView, position: number): number {
  const mixed =
    Math.imul(view.getInt32(position, true), 0x9e37_79b1) +
    Math.imul(view.getInt32(position + 8, true), 0x85eb_ca77) +
    Math.imul(view.getInt32(position + 16, true), 0xc2b2_ae3d) +
    Math.imul(view.getInt32(position + 24, true), 0x27d4_eb2f);
  const folded = Math.imul(mixed ^ (mixed >>> 15), 0x2545_f491);
  return folded ^ (folded >>> 13);
}

keepShape(new BaseIndex(new DataView(new ArrayBuffer(0))));
