import { BenchError } from "./bench-error.ts";

/** The stages of one run, in every engine: small, one after the other, each output recorded before the next starts. */
export const STAGES = 1000;

/** The output of one stage, the same small value in every engine. */
export interface StageOutput {
  readonly ok: boolean;
  readonly n: number;
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
