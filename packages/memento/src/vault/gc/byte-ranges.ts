import type { DeltaRuns } from "../delta/delta-runs.ts";

/** Stretches of bytes, `[start, end)`, ascending and apart from one another. */
export type ByteRanges = readonly (readonly [number, number])[];

/** Puts stretches in order and joins those that touch. */
export function joinRanges(ranges: Iterable<readonly [number, number]>): ByteRanges {
  const joined: [number, number][] = [];
  for (const [start, end] of [...ranges].toSorted(([a], [b]) => a - b)) {
    const last = joined.at(-1);
    if (end <= start) continue;
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([start, end]);
  }
  return joined;
}

/** What it takes to make some stretches of a delta's target: stretches of its base, and of its own new bytes. */
export function rangesBehind(
  { runs }: DeltaRuns,
  wanted: ByteRanges,
): { readonly base: ByteRanges; readonly literals: ByteRanges } {
  const base: [number, number][] = [];
  const literals: [number, number][] = [];
  let [next, target, literal] = [0, 0, 0];
  const take = (length: number, from: number, into: [number, number][]): void => {
    const end = target + length;
    for (let index = next; index < wanted.length; index++) {
      const [start, stop] = wanted[index] ?? [0, 0];
      if (start >= end) break;
      if (stop <= target) next = index + 1;
      else into.push([from + Math.max(start, target) - target, from + Math.min(stop, end) - target]);
    }
    target = end;
  };
  for (let index = 0; index < runs.length; index += 3) {
    const added = runs[index + 2] ?? 0;
    take(runs[index + 1] ?? 0, runs[index] ?? 0, base);
    take(added, literal, literals);
    literal += added;
  }
  return { base: joinRanges(base), literals: joinRanges(literals) };
}

/** Writes zeros over everything but these stretches, counted from `from` on. */
export function clearOutside(bytes: Uint8Array, from: number, kept: ByteRanges): void {
  let position = from;
  for (const [start, end] of kept) {
    bytes.fill(0, position, from + start);
    position = from + end;
  }
  bytes.fill(0, position);
}
