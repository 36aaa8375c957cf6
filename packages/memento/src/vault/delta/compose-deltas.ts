import { MementoError } from "../../core/errors.ts";
import { keepShape } from "../../core/shapes.ts";
import { parseDelta, RunStarts, RunWriter, type DeltaRuns } from "./delta-runs.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/** A delta of more runs than this is not worth having: its content is better held whole. */
const RUNS_MAX = 4_194_304;

/**
 * One delta base -> c out of base -> b and b -> c, without the base at hand; new bytes of the first that the second
 * overwrote are dropped. Null when it would have millions of runs. DAMAGED unless both are whole and the second was made for
 * the first one's target.
 */
export function composeDeltas(first: Uint8Array, second: Uint8Array): Uint8Array | null {
  const [below, above] = [parseDelta(first), parseDelta(second)];
  if (above.baseBytes !== below.targetBytes)
    throw new MementoError("DAMAGED", "A delta is for another base than the one before it gives");
  const source = new RunCursor(below);
  const writer = new RunWriter();
  const literals = new GrowingBytes(below.literals.length + above.literals.length);
  let literal = 0;
  for (let index = 0; index < above.runs.length; index += 3) {
    source.copyRange(above.runs[index] ?? 0, above.runs[index + 1] ?? 0, writer, literals);
    const added = above.runs[index + 2] ?? 0;
    if (added > 0) literals.pushRange(above.literals, literal, literal + added);
    literal += added;
    writer.literal(added);
    if (writer.count > RUNS_MAX) return null;
  }
  return writer.encodeWith(below.baseBytes, literals.bytes());
}

/** Finds ranges of a delta's target in its runs. */
class RunCursor {
  readonly #delta: DeltaRuns;
  readonly #starts: RunStarts;
  #run = 0;

  constructor(delta: DeltaRuns) {
    this.#delta = delta;
    this.#starts = new RunStarts(delta);
  }

  /** Writes what gives `length` bytes of the target from `start` on. */
  copyRange(start: number, length: number, writer: RunWriter, added: GrowingBytes): void {
    if (length === 0) return;
    this.#run = this.#starts.find(start, this.#run);
    const { runs, literals } = this.#delta;
    const { inTarget, inLiterals } = this.#starts;
    const end = start + length;
    for (let position = start; position < end; this.#run++) {
      const run = this.#run;
      const skipped = position - (inTarget[run] ?? 0);
      const copied = runs[run * 3 + 1] ?? 0;
      if (skipped < copied) {
        const taken = Math.min(copied - skipped, end - position);
        writer.copy((runs[run * 3] ?? 0) + skipped, taken);
        position += taken;
      }
      const past = position - (inTarget[run] ?? 0) - copied;
      const taken = Math.min((runs[run * 3 + 2] ?? 0) - past, end - position);
      if (taken > 0) {
        const from = (inLiterals[run] ?? 0) + past;
        added.pushRange(literals, from, from + taken);
        writer.literal(taken);
        position += taken;
      }
      if (position >= end) return;
    }
  }
}

keepShape(new RunCursor({ targetBytes: 0, baseBytes: 0, runs: new Int32Array(), literals: Buffer.alloc(0) }));
