import { MementoError } from "../../core/errors.ts";
import { keepShape } from "../../core/shapes.ts";
import { Triples } from "./triples.ts";
import { DELTA_BYTES_MAX, VarintReader, VarintWriter, unzigzag, zigzag } from "./varint.ts";

/**
 * A delta, taken apart. The target is the runs one after the other; a run is a stretch of the base, then new bytes.
 *
 * As bytes (all numbers are varints: 7 bits to a byte, lowest first, the high bit set on all bytes but the last, no longer
 * than need be; all lengths and offsets are below 2^31):
 *
 * 1. the target's length, the base's length, the number of runs;
 * 2. for each run three numbers: where its stretch starts in the base, as the difference to the end of the stretch of the
 *    run before (0 at first), in zigzag (0, -1, 1, -2 ... become 0, 1, 2, 3 ...); the stretch's length; the number of new bytes;
 * 3. all new bytes, in order, to the end.
 *
 * A stretch is empty only in the first run, where it then starts at 0. No run is empty. The lengths of all runs add up to
 * the target's, and the numbers of new bytes to what follows the runs.
 */
export interface DeltaRuns {
  readonly targetBytes: number;
  readonly baseBytes: number;
  /** Three numbers for each run: start in the base, length there, number of new bytes. */
  readonly runs: Int32Array;
  readonly literals: Buffer;
}

/** Takes a delta apart; DAMAGED unless it is whole and agrees with itself. */
export function parseDelta(delta: Uint8Array): DeltaRuns {
  const reader = new VarintReader(delta);
  const targetBytes = checkedLength(reader.next());
  const baseBytes = checkedLength(reader.next());
  const count = reader.next();
  // Checked before anything is kept: a run takes three bytes at least.
  if (count * 3 > delta.length - reader.position) throw new MementoError("DAMAGED", "A delta ends inside its runs");
  const runs = new Int32Array(count * 3);
  let [end, target, literal] = [0, 0, 0];
  for (let run = 0; run < count * 3; run += 3) {
    const start = end + unzigzag(reader.next());
    const copied = reader.next();
    const added = reader.next();
    end = start + copied;
    if (start < 0 || end > baseBytes) throw new MementoError("DAMAGED", "A delta copies from outside its base");
    if (copied === 0 && (run > 0 || start !== 0 || added === 0))
      throw new MementoError("DAMAGED", "A delta has an empty run");
    target += copied + added;
    literal += added;
    runs[run] = start;
    runs[run + 1] = copied;
    runs[run + 2] = added;
  }
  if (target !== targetBytes) throw new MementoError("DAMAGED", "A delta's runs do not add up to its target");
  const literals = Buffer.from(delta.buffer, delta.byteOffset, delta.byteLength).subarray(reader.position);
  if (literals.length !== literal) throw new MementoError("DAMAGED", "A delta's new bytes are cut or too many");
  return { targetBytes, baseBytes, runs, literals };
}

/** Where each run starts in the target, and its new bytes among all new bytes; one more at the end. */
export class RunStarts {
  readonly inTarget: Int32Array;
  readonly inLiterals: Int32Array;

  constructor({ runs }: DeltaRuns) {
    const count = runs.length / 3;
    this.inTarget = new Int32Array(count + 1);
    this.inLiterals = new Int32Array(count + 1);
    let [target, literal] = [0, 0];
    for (let run = 0; run < count; run++) {
      const added = runs[run * 3 + 2] ?? 0;
      target += (runs[run * 3 + 1] ?? 0) + added;
      literal += added;
      this.inTarget[run + 1] = target;
      this.inLiterals[run + 1] = literal;
    }
  }

  /** The run that gives the byte of the target at `position`. Mostly it is at `near` or behind it; otherwise it is searched for. */
  find(position: number, near: number): number {
    const starts = this.inTarget;
    if ((starts[near] ?? 0) <= position) {
      if (position < (starts[near + 1] ?? 0)) return near;
      if (position < (starts[near + 2] ?? 0)) return near + 1;
    }
    let [low, high] = [0, starts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= position) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** Collects runs and gives the bytes of a delta. Neighbouring stretches and neighbouring literals become one. */
export class RunWriter {
  readonly #runs = new Triples(32);
  targetBytes = 0;
  literalBytes = 0;

  /** The runs so far, as in `DeltaRuns`; valid until the next one. */
  get runs(): Int32Array {
    return this.#runs.numbers.subarray(0, this.#runs.count * 3);
  }

  /** How many runs there are. */
  get count(): number {
    return this.#runs.count;
  }

  /** The end of what was copied last. */
  get copyEnd(): number {
    const { numbers, count } = this.#runs;
    const last = count * 3 - 3;
    return last < 0 ? 0 : (numbers[last] ?? 0) + (numbers[last + 1] ?? 0);
  }

  copy(start: number, length: number): void {
    if (length === 0) return;
    const { numbers, count } = this.#runs;
    const last = count * 3 - 3;
    const goesOn = last >= 0 && numbers[last + 2] === 0 && this.copyEnd === start;
    if (goesOn) numbers[last + 1] = (numbers[last + 1] ?? 0) + length;
    else this.#runs.push(start, length, 0);
    this.targetBytes += length;
  }

  literal(length: number): void {
    if (length === 0) return;
    const { numbers, count } = this.#runs;
    if (count === 0) this.#runs.push(0, 0, length);
    else numbers[count * 3 - 1] = (numbers[count * 3 - 1] ?? 0) + length;
    this.targetBytes += length;
    this.literalBytes += length;
  }

  /** The delta that gives `target`, in which the literals stand where the runs say; null when it would not be smaller than 3/4 of it. */
  encode(baseBytes: number, target: Uint8Array): Uint8Array | null {
    const head = this.#head(baseBytes);
    if (head.length + this.literalBytes > target.length * DELTA_SHARE_MAX) return null;
    const delta = Buffer.allocUnsafeSlow(head.length + this.literalBytes);
    delta.set(head);
    const from = Buffer.from(target.buffer, target.byteOffset, target.byteLength);
    const { runs } = this;
    let [position, filled] = [0, head.length];
    for (let index = 0; index < runs.length; index += 3) {
      position += runs[index + 1] ?? 0;
      const end = position + (runs[index + 2] ?? 0);
      if (end > position) filled += from.copy(delta, filled, position, end);
      position = end;
    }
    return delta;
  }

  /** The delta of which these are the literals. */
  encodeWith(baseBytes: number, literals: Uint8Array): Uint8Array {
    return Buffer.concat([this.#head(baseBytes), literals]);
  }

  #head(baseBytes: number): Uint8Array {
    const { runs } = this;
    const writer = new VarintWriter();
    writer.push(this.targetBytes);
    writer.push(baseBytes);
    writer.push(runs.length / 3);
    let end = 0;
    for (let index = 0; index < runs.length; index += 3) {
      const start = runs[index] ?? 0;
      const length = runs[index + 1] ?? 0;
      writer.push(zigzag(start - end));
      writer.push(length);
      writer.push(runs[index + 2] ?? 0);
      end = start + length;
    }
    return writer.bytes();
  }
}

/** A delta that is larger than this part of what it gives is not worth its way back. */
export const DELTA_SHARE_MAX = 0.75;

function checkedLength(length: number): number {
  if (length > DELTA_BYTES_MAX) throw new MementoError("DAMAGED", "A delta states a length past 2 GiB");
  return length;
}

keepShape(new VarintReader(new Uint8Array()));
keepShape(new VarintWriter());
keepShape(new RunWriter());
keepShape(new RunStarts({ targetBytes: 0, baseBytes: 0, runs: new Int32Array(), literals: Buffer.alloc(0) }));
