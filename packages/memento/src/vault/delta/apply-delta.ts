import { MementoError } from "../../core/errors.ts";
import { parseDelta, type DeltaRuns } from "./delta-runs.ts";

/**
 * Builds the target of a delta. DAMAGED unless the delta is whole, was made for a base of this length and gives exactly
 * `expectedBytes`; nothing is allocated before that is known. That the content is right is for the caller's digest to say.
 */
export function applyDelta(base: Uint8Array, delta: Uint8Array, expectedBytes: number): Uint8Array {
  const runs = parseDelta(delta);
  if (runs.targetBytes !== expectedBytes) {
    throw new MementoError("DAMAGED", `A delta gives ${runs.targetBytes} bytes in place of ${expectedBytes}`);
  }
  return applyRuns(base, runs);
}

/** As `applyDelta`, of a delta that was taken apart. */
export function applyRuns(base: Uint8Array, { targetBytes, baseBytes, runs, literals }: DeltaRuns): Uint8Array {
  if (baseBytes !== base.length) {
    throw new MementoError("DAMAGED", `A delta is for a base of ${baseBytes} bytes in place of ${base.length}`);
  }
  const from = Buffer.from(base.buffer, base.byteOffset, base.byteLength);
  const target = Buffer.allocUnsafeSlow(targetBytes);
  let [position, literal] = [0, 0];
  for (let index = 0; index < runs.length; index += 3) {
    const start = runs[index] ?? 0;
    const copied = runs[index + 1] ?? 0;
    const length = runs[index + 2] ?? 0;
    if (copied > 0) position += from.copy(target, position, start, start + copied);
    if (length > 0) position += literals.copy(target, position, literal, literal + length);
    literal += length;
  }
  return target;
}
