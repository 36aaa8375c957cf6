import { MementoError } from "../../core/errors.ts";
import { keepShape } from "../../core/shapes.ts";
import { parseDelta, RunStarts, type DeltaRuns } from "./delta-runs.ts";
import { Triples } from "./triples.ts";

/** A chain that cuts its target into more stretches than this is applied one delta after the other. */
const STRETCHES_MAX = 4_194_304;
/** So few bytes are copied faster one by one than by a call. */
const COPIED_ONE_BY_ONE = 32;

/**
 * Builds the target of a delta. DAMAGED unless the delta is whole, was made for a base of this length and gives exactly
 * `expectedBytes`; nothing is allocated before that is known. That the content is right is for the caller's digest to say.
 */
export function applyDelta(base: Uint8Array, delta: Uint8Array, expectedBytes: number): Uint8Array {
  return applyDeltas(base, [delta], expectedBytes);
}

/**
 * Applies a chain, oldest first, as one: each byte of the target is copied once, from the delta that brought it or from the
 * base, and what lies between is not built, unless the target would be in millions of stretches. DAMAGED as `applyDelta`.
 */
export function applyDeltas(base: Uint8Array, deltas: readonly Uint8Array[], expectedBytes: number): Uint8Array {
  return new DeltaTarget(base.length, deltas, expectedBytes).finish(base);
}

/** What a chain of deltas makes, begun before its base is there. The same as `applyDeltas`. */
export class DeltaTarget {
  readonly #chain: readonly DeltaRuns[];
  readonly #target: Uint8Array;
  /** The stretches of the base that are still to be copied; null where the target would be in too many. */
  readonly #wanted: Triples | null;

  constructor(baseBytes: number, deltas: readonly Uint8Array[], expectedBytes: number) {
    this.#chain = deltas.map(parseDelta);
    let bytes = baseBytes;
    for (const delta of this.#chain) {
      if (delta.baseBytes !== bytes)
        throw new MementoError("DAMAGED", `A delta is for a base of ${delta.baseBytes} bytes in place of ${bytes}`);
      bytes = delta.targetBytes;
    }
    if (bytes !== expectedBytes)
      throw new MementoError("DAMAGED", `Deltas give ${bytes} bytes in place of ${expectedBytes}`);
    this.#target = Buffer.allocUnsafeSlow(bytes);
    this.#wanted = copyAllLiterals(this.#chain, this.#target);
  }

  finish(base: Uint8Array): Uint8Array {
    const wanted = this.#wanted;
    // A single delta never has too many stretches.
    if (wanted === null) return this.#chain.reduce((below, delta) => applyAlone(below, delta), base);
    copyStretches(base, wanted, this.#target);
    return this.#target;
  }
}

function applyAlone(base: Uint8Array, delta: DeltaRuns): Uint8Array {
  const target = Buffer.allocUnsafeSlow(delta.targetBytes);
  const wanted = copyAllLiterals([delta], target);
  if (wanted !== null) copyStretches(base, wanted, target);
  return target;
}

/** Copies what the deltas brought into the target; gives the stretches of the base that are still wanted, or null where they are too many. */
function copyAllLiterals(chain: readonly DeltaRuns[], target: Uint8Array): Triples | null {
  let wanted = new Triples(1);
  wanted.push(0, target.length, 0);
  const most = chain.length > 1 ? STRETCHES_MAX : Infinity;
  for (const delta of chain.toReversed()) {
    const below = copyLiterals(delta, wanted, target, most);
    if (below === null) return null;
    wanted = below;
  }
  return wanted;
}

function copyStretches(base: Uint8Array, { numbers, count }: Triples, target: Uint8Array): void {
  for (let index = 0; index < count * 3; index += 3) {
    copyBytes(base, numbers[index] ?? 0, numbers[index + 1] ?? 0, target, numbers[index + 2] ?? 0);
  }
}

/**
 * Copies those bytes of the wanted stretches that the delta brought; gives the stretches of its base that are still wanted,
 * or null where they are more than `most`. A stretch is its start, its length, and its place in the target.
 */
function copyLiterals(delta: DeltaRuns, wanted: Triples, target: Uint8Array, most: number): Triples | null {
  const { runs, literals } = delta;
  const starts = new RunStarts(delta);
  const { inTarget, inLiterals } = starts;
  const below = new Triples(Math.max(wanted.count, runs.length / 3));
  let run = 0;
  for (let index = 0; index < wanted.count * 3; index += 3) {
    let position = wanted.numbers[index] ?? 0;
    let at = wanted.numbers[index + 2] ?? 0;
    const end = position + (wanted.numbers[index + 1] ?? 0);
    run = starts.find(position, run);
    for (; position < end; run++) {
      const skipped = position - (inTarget[run] ?? 0);
      const copied = runs[run * 3 + 1] ?? 0;
      if (skipped < copied) {
        const length = Math.min(copied - skipped, end - position);
        below.push((runs[run * 3] ?? 0) + skipped, length, at);
        position += length;
        at += length;
      }
      const past = position - (inTarget[run] ?? 0) - copied;
      const length = Math.min((runs[run * 3 + 2] ?? 0) - past, end - position);
      if (length > 0) {
        copyBytes(literals, (inLiterals[run] ?? 0) + past, length, target, at);
        position += length;
        at += length;
      }
      if (position >= end) break;
    }
    if (below.count > most) return null;
  }
  return below;
}

function copyBytes(from: Uint8Array, start: number, length: number, to: Uint8Array, at: number): void {
  if (length <= COPIED_ONE_BY_ONE)
    for (let index = 0; index < length; index++) to[at + index] = from[start + index] ?? 0;
  else to.set(from.subarray(start, start + length), at);
}

// The delta that makes one new byte out of nothing.
keepShape(new DeltaTarget(0, [Uint8Array.of(1, 0, 1, 0, 0, 1, 0)], 1));
