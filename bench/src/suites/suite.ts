import type { BenchArguments, EngineName, StoresArguments, VaultArguments } from "../arguments.ts";
import type { Contender, Samples } from "../measure.ts";
import type { OursRuns } from "../memento-process.ts";
import type { BareSqlite } from "../peers/bare-sqlite.ts";
import type { Dbos } from "../peers/dbos.ts";
import type { Restate } from "../peers/restate.ts";
import type { Comparison } from "../report.ts";
import type { Scratch } from "../scratch.ts";

/** What every suite is given. */
export interface SuiteContext extends VaultArguments, StoresArguments, Pick<BenchArguments, "stagesOn"> {
  readonly rounds: number;
  readonly engines: ReadonlySet<EngineName>;
  readonly scratch: Scratch;
  /** One line of progress. */
  readonly say: (line: string) => void;
  /** Part of the report: figures beside the rows that the suite returns. */
  readonly print: (text: string) => void;
}

/** Does all the work of one suite and returns what came out. Leaves no process and no file behind. */
export type Suite = (context: SuiteContext) => Promise<readonly Comparison[]>;

/** Who is measured, started; `undefined` for a peer that was left out. */
export interface Engines {
  readonly ours: OursRuns;
  readonly bare: BareSqlite;
  readonly dbos: Dbos | undefined;
  readonly restate: Restate | undefined;
}

/** Measures the contenders, interleaved, for the number of rounds asked for. */
export type InRounds = (contenders: readonly Contender[]) => Promise<Samples>;

/** The contenders that are there, in this order. */
export function present(contenders: readonly (Contender | undefined)[]): readonly Contender[] {
  return contenders.filter((contender) => contender !== undefined);
}
