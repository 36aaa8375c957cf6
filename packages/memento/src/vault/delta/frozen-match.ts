/** A stretch of items of a new array: the same frozen objects as in the old one from `from` on, or, with `from` -1, others. */
export interface ItemRun {
  readonly at: number;
  readonly count: number;
  readonly from: number;
}

/** What is known of the items of the old array. */
export interface KnownItems {
  readonly items: readonly unknown[];
  /** 1 for an item that can never change. */
  readonly frozen: Uint8Array;
}

/** How far around a change its end is looked for, in items; */
const NEAR_ITEMS = 8;
/** then so often by a scan of the old array, and after that by a table of it. */
const SCANS_MAX = 16;

/**
 * Finds the items of the old array in the new one, by identity. Items that cannot be found cheaply are taken for others;
 * that costs time and never truth. Runs cover `next` from first to last.
 */
export class FrozenMatch {
  readonly runs: ItemRun[] = [];
  readonly #old: readonly unknown[];
  readonly #frozen: Uint8Array;
  readonly #next: readonly unknown[];
  #table: Map<unknown, number> | null = null;
  #scans = 0;

  constructor(old: KnownItems, next: readonly unknown[]) {
    this.#old = old.items;
    this.#frozen = old.frozen;
    this.#next = next;
    let [at, from, others] = [0, 0, 0];
    while (at < next.length) {
      const count = this.#alike(at, from);
      if (count > 0) {
        this.#push(others, at - others, -1);
        this.runs.push({ at, count, from });
        at += count;
        from += count;
        others = at;
        if (at === next.length) return;
      }
      const met = this.#meet(at, from);
      at = met.at;
      from = met.from;
    }
    this.#push(others, next.length - others, -1);
  }

  #push(at: number, count: number, from: number): void {
    if (count > 0) this.runs.push({ at, count, from });
  }

  #same(at: number, from: number): boolean {
    return this.#frozen[from] === 1 && at < this.#next.length && this.#next[at] === this.#old[from];
  }

  #alike(at: number, from: number): number {
    const old = this.#old;
    const frozen = this.#frozen;
    const next = this.#next;
    const most = Math.min(next.length - at, old.length - from);
    let count = 0;
    while (count < most && next[at + count] === old[from + count] && frozen[from + count] === 1) count++;
    return count;
  }

  /** Where to go on after two items that differ; always further in the new array, or at a place where it is the same. */
  #meet(at: number, from: number): { at: number; from: number } {
    for (let ahead = 1; ahead <= NEAR_ITEMS; ahead++) {
      if (this.#same(at + ahead, from + ahead)) return { at: at + ahead, from: from + ahead };
      if (this.#same(at, from + ahead)) return { at, from: from + ahead };
      if (this.#same(at + ahead, from)) return { at: at + ahead, from };
    }
    const found = this.#find(this.#next[at], from);
    return found < 0 ? { at: at + 1, from } : { at, from: found };
  }

  #find(item: unknown, from: number): number {
    if (from >= this.#old.length || typeof item !== "object" || item === null || !Object.isFrozen(item)) return -1;
    if (this.#scans < SCANS_MAX) {
      this.#scans += 1;
      const found = this.#old.indexOf(item, from);
      return found >= 0 && this.#frozen[found] === 1 ? found : -1;
    }
    this.#table ??= tableOf(this.#old, this.#frozen);
    return this.#table.get(item) ?? -1;
  }
}

function tableOf(items: readonly unknown[], frozen: Uint8Array): Map<unknown, number> {
  const table = new Map<unknown, number>();
  for (const [index, item] of items.entries()) if (frozen[index] === 1) table.set(item, index);
  return table;
}
