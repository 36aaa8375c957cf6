import { BaseIndex, BLOCK_BYTES } from "./base-index.ts";
import { BytePair } from "./byte-pair.ts";
import { DELTA_SHARE_MAX, RunWriter } from "./delta-runs.ts";
import { DELTA_BYTES_MAX } from "./varint.ts";

/** A stretch that is shorter than this is not worth a run. */
const RUN_BYTES_MIN = 32;
/** A stretch found nearby that goes on for this long needs no second opinion. */
const GOOD_RUN_BYTES = 128;
/** After a change, the text is taken up again within this many bytes at the same distance, */
const SAME_SHIFT_BYTES = 64;
/** or where bytes so far ahead are found in the base, within a window that grows with the distance, */
const LOOK_AHEAD = [0, 48, 176, 560, 1_800];
const WINDOW_BACK = 256;
const WINDOW_BYTES = 1_024;
/** or where one of the base's blocks is found. After so many short runs in a row that is tried first; then ever more rarely. */
const WEAK_RUNS_MAX = 8;
const WEAK_RUNS_RECONSIDERED_MAX = 4_096;
/** When this much is new, samples tell whether it is worth while to go on. */
const SAMPLE_AFTER_BYTES = 32_768;
const SAMPLES = 64;
const SAMPLE_BYTES = 160;
/** Work is counted in bytes looked at one by one: */
const WORK_OF_RUN = 256;
const WORK_OF_BLOCK = 8;
const BLOCKS_MIN = 1_024;
const WORK_OF_ALIKE_BYTE = 1 / 64;

/** Delta that turns `base` into `next`; null when it would not be smaller than about 3/4 of `next`. */
export function encodeDelta(base: Uint8Array, next: Uint8Array): Uint8Array | null {
  const encoder = new DeltaEncoder(base, next);
  encoder.step(Number.POSITIVE_INFINITY);
  return encoder.finish();
}

/** A place where both texts go on alike. */
interface Match {
  readonly base: number;
  readonly next: number;
  readonly length: number;
}

/**
 * Makes a delta in steps, so that large texts do not hold up everything else. Neither text may change meanwhile.
 *
 * From each place where the texts part, it looks for where they meet again: at the same distance, then nearby, then
 * anywhere in the base (by an index that is built when first needed).
 */
export class DeltaEncoder {
  readonly #pair: BytePair;
  readonly #writer = new RunWriter();
  readonly #literalBytesMax: number;
  #base = 0;
  #next = 0;
  #index: BaseIndex | null = null;
  /** Where the search through the index has come to. */
  #searched = 0;
  #sampled = false;
  #weakRuns = 0;
  #weakRunsMax = WEAK_RUNS_MAX;
  #work = 0;
  #state: "running" | "done" | "hopeless" = "running";

  constructor(base: Uint8Array, next: Uint8Array) {
    this.#pair = new BytePair(base, next);
    this.#literalBytesMax = Math.floor(next.length * DELTA_SHARE_MAX);
    if (base.length > DELTA_BYTES_MAX || next.length > DELTA_BYTES_MAX) this.#state = "hopeless";
  }

  /** Works on; true when nothing is left to do. A million of `work` takes some milliseconds. */
  step(work: number): boolean {
    this.#work = work;
    while (this.#state === "running" && this.#work > 0) this.#advance();
    return this.#state !== "running";
  }

  /** The delta; null when it does not pay. Only after `step` has given true. */
  finish(): Uint8Array | null {
    if (this.#state !== "done") return null;
    return this.#writer.encode(this.#pair.base.length, this.#pair.next);
  }

  #advance(): void {
    const { next } = this.#pair;
    const most = Number.isFinite(this.#work)
      ? this.#work / WORK_OF_ALIKE_BYTE + SAME_SHIFT_BYTES
      : Number.POSITIVE_INFINITY;
    if (this.#searched <= this.#next) {
      const alike = this.#pair.alikeForward(this.#base, this.#next, most);
      this.#take({ base: this.#base, next: this.#next, length: alike });
      if (this.#next === next.length) {
        this.#state = "done";
        return;
      }
      if (alike >= most) return;
      if (alike >= GOOD_RUN_BYTES) this.#weakRuns = 0;
    }
    this.#work -= WORK_OF_RUN;
    const found = this.#meet();
    if (found === "later") return;
    this.#searched = 0;
    this.#take(found ?? { base: this.#pair.base.length, next: next.length, length: 0 });
    if (this.#writer.literalBytes > this.#literalBytesMax) this.#state = "hopeless";
    else if (this.#next === next.length) this.#state = "done";
  }

  #take({ base, next, length }: Match): void {
    this.#writer.literal(next - this.#next);
    this.#writer.copy(base, length);
    this.#base = base + length;
    this.#next = next + length;
    this.#work -= length * WORK_OF_ALIKE_BYTE;
  }

  /** Where the texts meet again; null when nowhere, "later" when the work was spent before that is known. */
  #meet(): Match | null | "later" {
    if (this.#searched <= this.#next) {
      const near = this.#atSameShift() ?? this.#nearby();
      if (near !== null && this.#weakRuns < this.#weakRunsMax) {
        this.#weakRuns += 1;
        return near;
      }
      if (near !== null) return this.#better(near);
    }
    return this.#anywhere();
  }

  /** Bytes replaced by as many others. */
  #atSameShift(): Match | null {
    const { baseView, nextView } = this.#pair;
    const shift = this.#base - this.#next;
    const end = Math.min(
      this.#next + SAME_SHIFT_BYTES,
      nextView.byteLength - RUN_BYTES_MIN,
      baseView.byteLength - RUN_BYTES_MIN - shift,
    );
    for (let at = this.#next + 1; at <= end; at++) {
      if (nextView.getInt32(at, true) !== baseView.getInt32(at + shift, true)) continue;
      if (this.#pair.alikeForward(at + shift, at, RUN_BYTES_MIN) < RUN_BYTES_MIN) continue;
      return { base: at + shift, next: at, length: RUN_BYTES_MIN };
    }
    return null;
  }

  /** Bytes inserted, dropped, or replaced by more or fewer. */
  #nearby(): Match | null {
    const { base, next } = this.#pair;
    let best: Match | null = null;
    for (const ahead of LOOK_AHEAD) {
      const at = this.#next + ahead;
      if (at + RUN_BYTES_MIN > next.length) break;
      const start = Math.max(0, this.#base - (ahead === 0 ? 0 : WINDOW_BACK));
      const window = base.subarray(start, this.#base + ahead * 2 + WINDOW_BYTES);
      const found = window.indexOf(next.subarray(at, at + RUN_BYTES_MIN));
      if (found < 0) continue;
      const match = this.#extend(start + found, at, RUN_BYTES_MIN);
      if (best === null || match.length > best.length) best = match;
      if (best.length >= GOOD_RUN_BYTES) break;
    }
    return best ?? this.#sameEnd();
  }

  /** The last change of all: what follows is the same to the end, however short. */
  #sameEnd(): Match | null {
    const { base, next } = this.#pair;
    if (next.length - this.#next > SAMPLE_BYTES || base.length < this.#base) return null;
    const length = this.#pair.alikeBackward(
      base.length,
      next.length,
      Math.min(next.length - this.#next, base.length - this.#base),
    );
    return length < 8 ? null : { base: base.length - length, next: next.length - length, length };
  }

  /** Makes a match as long as it is, backwards to the last taken byte and forwards as far as its worth needs. */
  #extend(base: number, next: number, known: number): Match {
    const back = this.#pair.alikeBackward(base, next, next - this.#next);
    const ahead = this.#pair.alikeForward(base + known, next + known, GOOD_RUN_BYTES);
    return { base: base - back, next: next - back, length: back + known + ahead };
  }

  /** After many short runs: perhaps these rows stand elsewhere as a whole. */
  #better(near: Match): Match | "later" {
    if (!this.#indexed()) return "later";
    this.#weakRuns = 0;
    const far = this.#search(this.#next, Math.min(this.#next + SAMPLE_BYTES, this.#pair.next.length - BLOCK_BYTES));
    if (far !== null) {
      const length = this.#pair.alikeForward(far.base, far.next, WINDOW_BYTES);
      if (length > 2 * this.#pair.alikeForward(near.base, near.next, WINDOW_BYTES)) {
        this.#weakRunsMax = WEAK_RUNS_MAX;
        return far;
      }
    }
    this.#weakRunsMax = Math.min(this.#weakRunsMax * 2, WEAK_RUNS_RECONSIDERED_MAX);
    return near;
  }

  #anywhere(): Match | null | "later" {
    const { next } = this.#pair;
    const last = next.length - BLOCK_BYTES;
    if (this.#next > last) return null;
    if (!this.#indexed()) return "later";
    let from = Math.max(this.#next, this.#searched);
    while (from <= last) {
      const to = Math.min(last, from + SAMPLE_AFTER_BYTES);
      const found = this.#search(from, to);
      this.#work -= (found?.next ?? to) - from;
      if (found !== null) return found;
      from = to + 1;
      this.#searched = from;
      const literal = this.#writer.literalBytes + from - this.#next;
      if (literal > this.#literalBytesMax || (!this.#sampled && literal > SAMPLE_AFTER_BYTES && this.#looksNew(from))) {
        this.#state = "hopeless";
        return "later";
      }
      if (this.#work <= 0) return "later";
    }
    return null;
  }

  /** The first place from `from` to `to` at which a stretch starts that the base has anywhere. */
  #search(from: number, to: number): Match | null {
    const index = this.#index;
    if (index === null) return null;
    const { nextView } = this.#pair;
    for (let at = from; at <= to; at++) {
      const base = index.lookUp(nextView, at);
      if (base < 0) continue;
      const match = this.#extend(base, at, 0);
      if (match.length >= RUN_BYTES_MIN) return match;
    }
    return null;
  }

  /** Samples the rest: true when hardly any of it is in the base. */
  #looksNew(from: number): boolean {
    this.#sampled = true;
    const { next } = this.#pair;
    const rest = next.length - from;
    if (rest < SAMPLES * SAMPLE_BYTES * 2) return false;
    let hits = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const at = from + Math.floor((rest * sample) / SAMPLES);
      if (this.#search(at, at + SAMPLE_BYTES) !== null) hits += 1;
    }
    const literal = this.#writer.literalBytes + from - this.#next + (rest * (SAMPLES - hits)) / SAMPLES;
    return literal > next.length * 0.9;
  }

  /** True once the whole base is in the index. */
  #indexed(): boolean {
    this.#index ??= new BaseIndex(this.#pair.baseView);
    const blocks = Math.ceil(Math.max(BLOCKS_MIN, Math.min(this.#work / WORK_OF_BLOCK, this.#pair.base.length)));
    if (!this.#index.complete) {
      this.#index.build(blocks);
      this.#work -= Math.min(blocks, this.#pair.base.length / BLOCK_BYTES) * WORK_OF_BLOCK;
    }
    return this.#index.complete;
  }
}
