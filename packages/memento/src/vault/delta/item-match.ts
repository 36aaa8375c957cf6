import { keepShape } from "../../core/shapes.ts";

/** A stretch of items of a new array: the same objects as in the old one from `from` on, or, with `from` -1, others. */
export interface ItemRun {
  readonly at: number;
  readonly count: number;
  readonly from: number;
}

/** Stands among known items in the place of one that is not known. */
export const CHANGING: object = Object.freeze({});

/** How far around a change its end is looked for, in items; */
const NEAR_ITEMS = 8;
/** then by scans of the old array, until they have passed so many times its length, and after that by a table of it. */
const SCANS_MAX = 16;

/**
 * Finds the items of the old array in the new one, by identity. Items that cannot be found cheaply are taken for others;
 * that costs time and never truth. Runs cover `next` from first to last.
 */
export class ItemMatch {
  readonly runs: ItemRun[] = [];
  readonly #old: readonly unknown[];
  readonly #next: readonly unknown[];
  #table: Map<unknown, number> | null = null;
  #scanned = 0;

  /** `old` has `CHANGING` in the place of every item that is not to be found again. */
  constructor(old: readonly unknown[], next: readonly unknown[]) {
    this.#old = old;
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
    return at < this.#next.length && from < this.#old.length && this.#next[at] === this.#old[from];
  }

  #alike(at: number, from: number): number {
    const old = this.#old;
    const next = this.#next;
    const most = Math.min(next.length - at, old.length - from);
    let count = 0;
    // `===` would look into each object, which may be far away in memory, to rule out NaN.
    while (count < most && Object.is(next[at + count], old[from + count])) count++;
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
    const ahead = this.#old.length - from;
    if (ahead <= 0 || typeof item !== "object" || item === null) return -1;
    if (this.#scanned + ahead <= SCANS_MAX * this.#old.length) {
      this.#scanned += ahead;
      return this.#old.indexOf(item, from);
    }
    this.#table ??= new Map(this.#old.map((known, index) => [known, index]));
    return this.#table.get(item) ?? -1;
  }
}

keepShape(new ItemMatch([], []));
