import { keepShape } from "../../core/shapes.ts";
import { BaseIndex, BLOCK_BYTES } from "./base-index.ts";
import { BytePair } from "./byte-pair.ts";
import { DELTA_SHARE_MAX, RunWriter } from "./delta-runs.ts";
import { GOOD_RUN_BYTES, NearMatch, RUN_BYTES_MIN, type Match } from "./near-match.ts";
import { DELTA_BYTES_MAX } from "./varint.ts";

/** After so many short runs in a row the rows are looked for elsewhere as a whole; if in vain, then ever more rarely. */
const WEAK_RUNS_MAX = 8;
const WEAK_RUNS_RECONSIDERED_MAX = 4_096;
const RECONSIDERED_BYTES = 1_024;
/** Before there is an index, so often the base is simply searched from here on: a window that has moved on needs no index. */
const FAR_SEARCHES_MAX = 4;
const FAR_SEARCH_BYTES_MAX = 1_048_576;
/** Past the end of the base, what is less than this part of the text is taken for new without an index. */
const TAIL_SHARE = 1 / 64;
/** When this much is new, and most of what was seen, samples tell whether it is worth while to go on. */
const SAMPLE_AFTER_BYTES = 32_768;
const SAMPLES = 64;
const SAMPLE_BYTES = 160;
const HOPELESS_SHARE = 0.65;
/** Work is counted in units of about four nanoseconds: */
const WORK_OF_BYTE_SOUGHT = 4;
const WORK_OF_RUN = 256;
const WORK_OF_BLOCK = 8;
const BLOCKS_MIN = 1_024;
const WORK_OF_ALIKE_BYTE = 1 / 64;
const ALIKE_BYTES_MIN = 65_536;

/** Delta that turns `base` into `next`; null when it would not be smaller than about 3/4 of `next`. */
export function encodeDelta(base: Uint8Array, next: Uint8Array): Uint8Array | null {
  const encoder = new DeltaEncoder(base, next);
  encoder.step(Number.POSITIVE_INFINITY);
  return encoder.finish();
}

/**
 * Makes a delta in steps, so that large texts do not hold up everything else. Neither text may change meanwhile.
 *
 * From each place where the texts part, it looks for where they meet again: nearby, then anywhere in the base, by an index
 * that is built when first needed.
 */
export class DeltaEncoder {
  readonly #pair: BytePair;
  readonly #near: NearMatch;
  readonly #writer = new RunWriter();
  readonly #literalBytesMax: number;
  #base = 0;
  #next = 0;
  #index: BaseIndex | null = null;
  /** Where the search through the index has come to; 0 when none is under way. */
  #searched = 0;
  #farSearches = 0;
  #sampled = false;
  #weakRuns = 0;
  #weakRunsMax = WEAK_RUNS_MAX;
  #work = 0;
  #state: "running" | "done" | "hopeless" = "running";

  constructor(base: Uint8Array, next: Uint8Array) {
    this.#pair = new BytePair(base, next);
    this.#near = new NearMatch(this.#pair);
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
    return this.#state === "done" ? this.#writer.encode(this.#pair.base.length, this.#pair.next) : null;
  }

  #advance(): void {
    if (this.#searched === 0 && !this.#takeAlike()) return;
    this.#work -= WORK_OF_RUN;
    const found = this.#meet();
    if (found === "later") return;
    this.#searched = 0;
    this.#take(found ?? { base: this.#pair.base.length, next: this.#pair.next.length, length: 0 });
  }

  /** Takes what is alike from here on; true when there is more after it. */
  #takeAlike(): boolean {
    const most = Math.max(ALIKE_BYTES_MIN, this.#work / WORK_OF_ALIKE_BYTE);
    const length = this.#pair.alikeForward(this.#base, this.#next, most);
    if (length >= GOOD_RUN_BYTES) this.#weakRuns = 0;
    this.#take({ base: this.#base, next: this.#next, length });
    return this.#state === "running" && length < most;
  }

  #take({ base, next, length }: Match): void {
    this.#writer.literal(next - this.#next);
    this.#writer.copy(base, length);
    this.#base = base + length;
    this.#next = next + length;
    this.#work -= length * WORK_OF_ALIKE_BYTE;
    if (this.#writer.literalBytes > this.#literalBytesMax) this.#state = "hopeless";
    else if (this.#next === this.#pair.next.length) this.#state = "done";
  }

  /** Where the texts meet again; null when nowhere, "later" when the work was spent before that is known. */
  #meet(): Match | null | "later" {
    if (!this.#sampled && this.#looksNew(this.#writer.literalBytes) && !this.#sample()) return "later";
    const near = this.#searched === 0 ? (this.#near.find(this.#base, this.#next) ?? this.#farAhead()) : null;
    if (near === null) return this.#anywhere();
    this.#weakRuns += 1;
    return this.#weakRuns <= this.#weakRunsMax ? near : this.#better(near);
  }

  /** Rows dropped from the middle or the beginning. */
  #farAhead(): Match | null {
    if (this.#index !== null || this.#farSearches === FAR_SEARCHES_MAX) return null;
    this.#farSearches += 1;
    const bytes = Math.min(FAR_SEARCH_BYTES_MAX, this.#pair.base.length >> 4);
    return this.#near.searchBase(this.#base, this.#base + bytes, this.#next);
  }

  /** After many short runs: perhaps these rows stand elsewhere as a whole. */
  #better(near: Match): Match | "later" {
    if (!this.#indexed()) return "later";
    this.#weakRuns = 0;
    const far = this.#search(this.#next, this.#next + SAMPLE_BYTES, this.#next);
    if (far !== null) {
      const length = this.#pair.alikeForward(far.base, far.next, RECONSIDERED_BYTES);
      if (length > 2 * this.#pair.alikeForward(near.base, near.next, RECONSIDERED_BYTES)) {
        this.#weakRunsMax = WEAK_RUNS_MAX;
        return far;
      }
    }
    this.#weakRunsMax = Math.min(this.#weakRunsMax * 2, WEAK_RUNS_RECONSIDERED_MAX);
    return near;
  }

  #anywhere(): Match | null | "later" {
    const { base, next } = this.#pair;
    const last = next.length - BLOCK_BYTES;
    const isTail = base.length - this.#base < RUN_BYTES_MIN && next.length - this.#next < next.length * TAIL_SHARE;
    if (this.#next > last || (isTail && this.#index === null)) return null;
    this.#searched ||= this.#next;
    if (!this.#indexed()) return "later";
    while (this.#searched <= last) {
      const to = Math.min(last, this.#searched + SAMPLE_AFTER_BYTES);
      const found = this.#search(this.#searched, to, this.#next);
      this.#work -= ((found?.next ?? to) - this.#searched) * WORK_OF_BYTE_SOUGHT;
      if (found !== null) return found;
      this.#searched = to + 1;
      const literal = this.#writer.literalBytes + this.#searched - this.#next;
      if (literal > this.#literalBytesMax) this.#state = "hopeless";
      else if (!this.#sampled && this.#looksNew(literal)) this.#sample();
      if (this.#state !== "running" || this.#work <= 0) return "later";
    }
    return null;
  }

  /** The first place from `from` to `to` at which a stretch starts that the base has anywhere; it may reach back to `floor`. */
  #search(from: number, to: number, floor: number): Match | null {
    const index = this.#index;
    if (index === null) return null;
    const { nextView } = this.#pair;
    const last = Math.min(to, nextView.byteLength - BLOCK_BYTES);
    for (let at = from; at <= last; at++) {
      const base = index.lookUp(nextView, at);
      if (base < 0 || this.#pair.alikeForward(base, at, BLOCK_BYTES) < BLOCK_BYTES) continue;
      const match = this.#near.extend(base, at, BLOCK_BYTES, floor);
      if (match.length >= RUN_BYTES_MIN) return match;
    }
    return null;
  }

  #looksNew(literal: number): boolean {
    return literal > SAMPLE_AFTER_BYTES && literal * 2 > Math.max(this.#next, this.#searched);
  }

  /** Samples the rest, and gives up when hardly any of it is in the base; false when there is to be a pause first. */
  #sample(): boolean {
    if (!this.#indexed()) return false;
    this.#sampled = true;
    const start = Math.max(this.#next, this.#searched);
    const rest = this.#pair.next.length - start;
    if (rest < SAMPLES * SAMPLE_BYTES * 2) return true;
    let alike = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      const at = start + Math.floor((rest * sample) / SAMPLES);
      const found = this.#search(at, at + SAMPLE_BYTES, at);
      if (found !== null) alike += Math.min(found.length, SAMPLE_BYTES) / SAMPLE_BYTES;
    }
    const literal = this.#writer.literalBytes + start - this.#next + (rest * (SAMPLES - alike)) / SAMPLES;
    if (literal > this.#pair.next.length * HOPELESS_SHARE) this.#state = "hopeless";
    return this.#state === "running";
  }

  /** True once the whole base is in the index. */
  #indexed(): boolean {
    this.#index ??= new BaseIndex(this.#pair.baseView);
    if (!this.#index.complete) {
      const most = Math.ceil(this.#pair.base.length / BLOCK_BYTES);
      const blocks = Math.max(BLOCKS_MIN, Math.min(Math.ceil(this.#work / WORK_OF_BLOCK), most));
      this.#index.build(blocks);
      this.#work -= blocks * WORK_OF_BLOCK;
    }
    return this.#index.complete;
  }
}

keepShape(new DeltaEncoder(new Uint8Array(), new Uint8Array()));
