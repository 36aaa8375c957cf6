import { MementoError } from "../../core/errors.ts";
import { applyRuns } from "./apply-delta.ts";
import { parseDelta, RunWriter, type DeltaRuns } from "./delta-runs.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/** A composition of more runs than this is no longer worth having: the deltas are applied one by one. */
const RUNS_MAX = 4_194_304;

/**
 * One delta base -> c out of base -> b and b -> c, without the base at hand; new bytes of the first that the second
 * overwrote are dropped. DAMAGED unless both are whole and the second was made for the first one's target.
 */
export function composeDeltas(first: Uint8Array, second: Uint8Array): Uint8Array {
  const composed = compose(parseDelta(first), parseDelta(second));
  if (composed === null)
    throw new MementoError("DAMAGED", "Two deltas do not compose: they copy the same bytes too often");
  const writer = new RunWriter();
  for (let index = 0; index < composed.runs.length; index += 3) {
    writer.copy(composed.runs[index] ?? 0, composed.runs[index + 1] ?? 0);
    writer.literal(composed.runs[index + 2] ?? 0);
  }
  return writer.encodeWith(composed.baseBytes, composed.literals);
}

/** Applies a chain, oldest first, as one: what lies between is never built. DAMAGED as `applyDelta`. */
export function applyDeltas(base: Uint8Array, deltas: readonly Uint8Array[], expectedBytes: number): Uint8Array {
  const chain = deltas.map(parseDelta);
  const given = chain.at(-1)?.targetBytes ?? base.length;
  if (given !== expectedBytes) {
    throw new MementoError("DAMAGED", `A chain of deltas gives ${given} bytes in place of ${expectedBytes}`);
  }
  if (chain.length === 0) return Uint8Array.from(base);
  const whole = composeAll(chain);
  if (whole !== null) return applyRuns(base, whole);
  return chain.reduce(applyRuns, base);
}

/** Composes neighbours first: a chain of equal deltas costs n log n, not n * n. Null when it would have too many runs. */
function composeAll(chain: readonly DeltaRuns[]): DeltaRuns | null {
  const [only] = chain;
  if (chain.length <= 1) return only ?? null;
  const middle = chain.length >> 1;
  const first = composeAll(chain.slice(0, middle));
  const second = first && composeAll(chain.slice(middle));
  return first && second && compose(first, second);
}

function compose(first: DeltaRuns, second: DeltaRuns): DeltaRuns | null {
  if (second.baseBytes !== first.targetBytes) {
    throw new MementoError("DAMAGED", "A delta is for another base than the one before it gives");
  }
  const source = new RunCursor(first);
  const writer = new RunWriter();
  const literals = new GrowingBytes(first.literals.length + second.literals.length);
  let literal = 0;
  for (let index = 0; index < second.runs.length; index += 3) {
    source.copyRange(second.runs[index] ?? 0, second.runs[index + 1] ?? 0, writer, literals);
    const added = second.runs[index + 2] ?? 0;
    if (added > 0) literals.pushRange(second.literals, literal, literal + added);
    literal += added;
    writer.literal(added);
    if (writer.runs.length > RUNS_MAX * 3) return null;
  }
  return {
    targetBytes: second.targetBytes,
    baseBytes: first.baseBytes,
    runs: writer.runs,
    literals: literals.bytes(),
  };
}

/** Finds ranges of a delta's target in its runs. */
class RunCursor {
  readonly #delta: DeltaRuns;
  /** Where each run starts in the target, and among the literals; one more at the end. */
  readonly #targetStarts: Uint32Array;
  readonly #literalStarts: Uint32Array;
  #run = 0;

  constructor(delta: DeltaRuns) {
    const { runs } = delta;
    const count = runs.length / 3;
    this.#delta = delta;
    this.#targetStarts = new Uint32Array(count + 1);
    this.#literalStarts = new Uint32Array(count + 1);
    let [target, literal] = [0, 0];
    for (let run = 0; run < count; run++) {
      target += (runs[run * 3 + 1] ?? 0) + (runs[run * 3 + 2] ?? 0);
      literal += runs[run * 3 + 2] ?? 0;
      this.#targetStarts[run + 1] = target;
      this.#literalStarts[run + 1] = literal;
    }
  }

  /** Writes what gives `length` bytes of the target from `start` on. */
  copyRange(start: number, length: number, writer: RunWriter, added: GrowingBytes): void {
    if (length === 0) return;
    this.#seek(start);
    const { runs, literals } = this.#delta;
    const end = start + length;
    for (let position = start; position < end; this.#run++) {
      const run = this.#run;
      const skipped = position - (this.#targetStarts[run] ?? 0);
      const copied = runs[run * 3 + 1] ?? 0;
      if (skipped < copied) {
        const taken = Math.min(copied - skipped, end - position);
        writer.copy((runs[run * 3] ?? 0) + skipped, taken);
        position += taken;
      }
      const past = position - (this.#targetStarts[run] ?? 0) - copied;
      const taken = Math.min((runs[run * 3 + 2] ?? 0) - past, end - position);
      if (taken > 0) {
        const from = (this.#literalStarts[run] ?? 0) + past;
        added.pushRange(literals, from, from + taken);
        writer.literal(taken);
        position += taken;
      }
      if (position >= end) return;
    }
  }

  /** Copies mostly go on where the last one ended; otherwise the run is searched for. */
  #seek(position: number): void {
    const starts = this.#targetStarts;
    const near = this.#run;
    if ((starts[near] ?? 0) <= position && position < (starts[near + 1] ?? 0)) return;
    if ((starts[near + 1] ?? Infinity) <= position && position < (starts[near + 2] ?? 0)) {
      this.#run += 1;
      return;
    }
    let [low, high] = [0, starts.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= position) low = middle;
      else high = middle;
    }
    this.#run = low;
  }
}
