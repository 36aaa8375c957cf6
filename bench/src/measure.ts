/** One thing that is measured: `measure` does the work once and returns its figure (a time, a rate, or several of them). */
export interface Contender<Figure = number> {
  readonly name: string;
  /** `undefined`: it sits this round out. */
  measure(round: number): Promise<Figure | undefined>;
}

export interface Rounds {
  /** Rounds whose figures are thrown away, so that code is compiled and pages are cached for everyone alike. */
  readonly warmUps: number;
  readonly rounds: number;
  readonly onRound?: (round: number, total: number) => void;
}

/** The figures of each contender, one a round, in the order of the rounds. */
export type Samples<Figure = number> = ReadonlyMap<string, readonly Figure[]>;

/**
 * Measures all contenders once a round, one after the other and never at the same time, and turns the order around in
 * every other round: a machine that gets slower or faster meanwhile does so for all of them.
 */
export async function interleave<Figure = number>(
  contenders: readonly Contender<Figure>[],
  { warmUps, rounds, onRound }: Rounds,
): Promise<Samples<Figure>> {
  const samples = new Map<string, Figure[]>(contenders.map(({ name }) => [name, []]));
  const reversed = contenders.toReversed();
  for (let round = 0; round < warmUps + rounds; round++) {
    onRound?.(round + 1, warmUps + rounds);
    for (const contender of round % 2 === 0 ? contenders : reversed) {
      const figure = await contender.measure(round);
      if (round >= warmUps && figure !== undefined) samples.get(contender.name)?.push(figure);
    }
  }
  return samples;
}

/** The middle value; the mean of the two middle ones when their number is even. Throws on no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError("median of no values");
  return (lower + upper) / 2;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Median, smallest and largest of the values. */
export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Milliseconds that `work` took. */
export async function timeMs(work: () => Promise<void> | void): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
