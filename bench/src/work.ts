import { BenchError } from "./bench-error.ts";
import { flight, type Flight } from "./states/flights.ts";

/** The stages of one run, in every engine: small, one after the other, each output recorded before the next starts. */
export const STAGES = 1000;

/** How many runs go on at once in one process, and the stages of each of them. */
export const RUNS_AT_ONCE = 64;
export const STAGES_AT_ONCE = 200;

/** The stages of the run with large outputs, and the rows of each: about 1 MB as JSON. */
export const LARGE_STAGES = 20;
export const LARGE_ROWS = 8_000;

/** What every engine is asked to do. */
export interface StagesWork {
  readonly stages: number;
  /** Runs at once; default 1. */
  readonly runs?: number;
  /** Rows in the output of each stage; default none. */
  readonly rows?: number;
}

/** The output of one stage, the same value in every engine. */
export interface StageOutput {
  readonly ok: boolean;
  readonly n: number;
  readonly rows?: readonly Flight[];
}

const pool: Flight[] = [];

/** The output of stage `index` whose number is `n`: with rows, each stage has others, made anew each time. */
export function outputOf(index: number, n: number, rows = 0): StageOutput {
  if (rows === 0) return { ok: true, n };
  while (pool.length < rows * LARGE_STAGES) pool.push(flight(pool.length));
  return { ok: true, n, rows: pool.slice(index * rows, (index + 1) * rows).map((row) => ({ ...row })) };
}

/** What the stage numbers of a whole run add up to: each engine proves by it that every stage's output arrived. */
export function expectedSum(stages: number): number {
  return (stages * (stages - 1)) / 2;
}

/**
 * Checks a recovered worker's "done SUM STAGES_RUN": the result must be whole, and only the second half run again. One
 * stage more or less is allowed, since the killed one may or may not have been recorded.
 */
export function verifyRecovery(engine: string, line: string, stages: number): void {
  const [word, sum, stagesRun] = line.split(" ");
  if (word !== "done" || Number(sum) !== expectedSum(stages))
    throw new BenchError(`${engine}: the recovered result is wrong: ${line}`);
  if (Math.abs(Number(stagesRun) - stages / 2) > 1)
    throw new BenchError(`${engine}: ${stagesRun} stages were run after the kill, not ${stages / 2}: ${line}`);
}
