import type { BytePair } from "./byte-pair.ts";

/** A place where both texts go on alike. */
export interface Match {
  readonly base: number;
  readonly next: number;
  readonly length: number;
}

/** A stretch that is shorter than this is not worth a run. */
export const RUN_BYTES_MIN = 32;
/** A stretch that goes on for this long needs no second opinion. */
export const GOOD_RUN_BYTES = 64;

/** After a change, the text is taken up again within this many bytes at the same distance, */
const SAME_SHIFT_BYTES = 64;
const SMALL_CHANGE_BYTES = 16;
/** or, so many bytes further on, at about the same distance, */
const AHEAD = [24, 72, 168];
const SHIFT_BYTES_MAX = 24;
/** or after something short was dropped or inserted, */
const SHORT_BYTES = 512;
/** (a place that begins alike is looked at, but only so often: texts of few words would begin alike everywhere) */
const TRIES_MAX = 16;
/** or within a window that is searched by native code. */
const WINDOW_AHEAD = [0, 560, 1_800];
const WINDOW_BACK = 256;
const WINDOW_BYTES = 2_048;
/** So often in vain, and what costs most is left out for as many changes as it failed. */
const FAILURES_MAX = 8;
/** What is left at the end, when it is no longer than this, may be the same however short it is. */
const END_BYTES = 256;
const SAME_END_BYTES_MIN = 8;

/** Looks for where two texts meet again, close to where they part. */
export class NearMatch {
  readonly #pair: BytePair;
  #failures = 0;
  #skips = 0;

  constructor(pair: BytePair) {
    this.#pair = pair;
  }

  /** Where both go on alike after `base` and `next`, which differ; null when that is not found nearby. */
  find(base: number, next: number): Match | null {
    let best = this.#atSameShift(base, next);
    if (isGood(best) || (best !== null && best.next - next <= SMALL_CHANGE_BYTES)) return best;
    for (const ahead of AHEAD) {
      best = longer(best, this.#atShiftNear(base, next, ahead));
      if (isGood(best)) return best;
    }
    if (this.#skips > 0) {
      this.#skips -= 1;
      return best ?? this.#sameEnd(base, next);
    }
    best = longer(best, this.#afterDrop(base, next));
    if (!isGood(best)) best = longer(best, this.#afterInsert(base, next));
    best ??= this.#inWindow(base, next);
    this.#failures = isGood(best) ? 0 : this.#failures + 1;
    if (this.#failures >= FAILURES_MAX) this.#skips = this.#failures;
    return best ?? this.#sameEnd(base, next);
  }

  /** Makes a match as long as it is, backwards down to `floor` and forwards as far as its worth needs. */
  extend(base: number, next: number, known: number, floor: number): Match {
    const back = this.#pair.alikeBackward(base, next, next - floor);
    const ahead = this.#pair.alikeForward(base + known, next + known, GOOD_RUN_BYTES);
    return { base: base - back, next: next - back, length: back + known + ahead };
  }

  #isRun(base: number, next: number): boolean {
    return this.#pair.alikeForward(base, next, RUN_BYTES_MIN) === RUN_BYTES_MIN;
  }

  /** Bytes replaced by as many others. */
  #atSameShift(base: number, next: number): Match | null {
    const { baseView, nextView } = this.#pair;
    const shift = base - next;
    const end = Math.min(next + SAME_SHIFT_BYTES, nextView.byteLength - 4, baseView.byteLength - 4 - shift);
    for (let at = next + 1; at <= end; at++) {
      if (nextView.getInt32(at, true) !== baseView.getInt32(at + shift, true)) continue;
      if (this.#isRun(at + shift, at)) return this.extend(at + shift, at, RUN_BYTES_MIN, at);
    }
    return null;
  }

  /** Bytes replaced by a few more or fewer. */
  #atShiftNear(base: number, next: number, ahead: number): Match | null {
    const { baseView, nextView } = this.#pair;
    const at = next + ahead;
    if (at + 4 > nextView.byteLength) return null;
    const word = nextView.getInt32(at, true);
    const place = base + ahead;
    const last = baseView.byteLength - 4;
    // 0, 1, -1, 2, -2 ...
    for (
      let shift = 0, tries = 0;
      shift <= SHIFT_BYTES_MAX && tries < TRIES_MAX;
      shift = shift > 0 ? -shift : 1 - shift
    ) {
      const from = place + shift;
      if (from < base || from > last || baseView.getInt32(from, true) !== word) continue;
      if (this.#isRun(from, at)) return this.extend(from, at, RUN_BYTES_MIN, next);
      tries += 1;
    }
    return null;
  }

  #afterDrop(base: number, next: number): Match | null {
    const { baseView, nextView } = this.#pair;
    if (next + 4 > nextView.byteLength) return null;
    const word = nextView.getInt32(next, true);
    const last = Math.min(base + SHORT_BYTES, baseView.byteLength - 4);
    for (let from = base + 1, tries = 0; from <= last && tries < TRIES_MAX; from++) {
      if (baseView.getInt32(from, true) !== word) continue;
      if (this.#isRun(from, next)) return this.extend(from, next, RUN_BYTES_MIN, next);
      tries += 1;
    }
    return null;
  }

  #afterInsert(base: number, next: number): Match | null {
    const { baseView, nextView } = this.#pair;
    if (base + 4 > baseView.byteLength) return null;
    const word = baseView.getInt32(base, true);
    const last = Math.min(next + SHORT_BYTES, nextView.byteLength - 4);
    for (let at = next + 1, tries = 0; at <= last && tries < TRIES_MAX; at++) {
      if (nextView.getInt32(at, true) !== word) continue;
      if (this.#isRun(base, at)) return this.extend(base, at, RUN_BYTES_MIN, next);
      tries += 1;
    }
    return null;
  }

  #inWindow(base: number, next: number): Match | null {
    let best: Match | null = null;
    for (const ahead of WINDOW_AHEAD) {
      const at = next + ahead;
      if (at + RUN_BYTES_MIN > this.#pair.next.length) break;
      const start = Math.max(0, base - (ahead === 0 ? 0 : WINDOW_BACK));
      best = longer(best, this.#search(start, base + ahead + WINDOW_BYTES, at, next));
      if (isGood(best)) break;
    }
    return best;
  }

  /** The first place in a part of the base where it has what `next` has from `at` on. */
  searchBase(start: number, end: number, at: number): Match | null {
    return at + RUN_BYTES_MIN > this.#pair.next.length ? null : this.#search(start, end, at, at);
  }

  #search(start: number, end: number, at: number, floor: number): Match | null {
    const { base, next } = this.#pair;
    const found = base.subarray(start, end).indexOf(next.subarray(at, at + RUN_BYTES_MIN));
    return found < 0 ? null : this.extend(start + found, at, RUN_BYTES_MIN, floor);
  }

  /** The last change of all: what follows is the same to the end, however short. */
  #sameEnd(base: number, next: number): Match | null {
    const { base: old, next: text } = this.#pair;
    const rest = text.length - next;
    if (rest > END_BYTES || base > old.length) return null;
    const length = this.#pair.alikeBackward(old.length, text.length, Math.min(rest, old.length - base));
    return length < SAME_END_BYTES_MIN ? null : { base: old.length - length, next: text.length - length, length };
  }
}

const isGood = (match: Match | null): boolean => match !== null && match.length >= GOOD_RUN_BYTES;

const longer = (one: Match | null, other: Match | null): Match | null =>
  one === null || (other !== null && other.length > one.length) ? other : one;
