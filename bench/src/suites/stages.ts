import { join } from "node:path";

import { interleave, type Contender, type Samples } from "../measure.ts";
import { startOurs } from "../memento-process.ts";
import { openBareSqlite } from "../peers/bare-sqlite.ts";
import { startDbos } from "../peers/dbos.ts";
import { startRestate } from "../peers/restate.ts";
import type { Comparison } from "../report.ts";
import { measureManyAndLarge } from "./stages-at-once.ts";
import { stagesOnPostgres } from "./stages-on-postgres.ts";
import { measureRecovery } from "./stages-recovery.ts";
import { measureSequential } from "./stages-sequential.ts";
import type { Engines, SuiteContext } from "./suite.ts";

/**
 * One run of 1,000 small stages against bare commits, DBOS and Restate; the cost of a save early and late in it; many runs
 * at once; stages with large outputs; and kill -9 half-way through. Each engine is in a process of its own (bare commits are in this
 * one), opens one store and keeps it for all rounds; bare commits and our store lie in the same folder, the peers' data beside
 * it on the same disk.
 */
export async function stagesSuite(context: SuiteContext): Promise<readonly Comparison[]> {
  if (context.stagesOn === "postgres") return await stagesOnPostgres(context);
  const { engines, rounds, scratch, say } = context;
  await using stack = new AsyncDisposableStack();
  say("starting everybody");
  const folder = scratch.folder("sqlite");
  const started: Engines = {
    ours: stack.use(await startOurs(scratch, `sqlite:${join(folder, "memento.db")}`)),
    bare: stack.use(openBareSqlite(folder)),
    dbos: engines.has("dbos") ? stack.use(await startDbos(scratch)) : undefined,
    restate: engines.has("restate") ? stack.use(await startRestate(scratch)) : undefined,
  };
  const inRounds =
    (work: string, warmUps: number) =>
    (contenders: readonly Contender[]): Promise<Samples> =>
      interleave(contenders, {
        warmUps,
        rounds,
        onRound: (round, total) => say(`${work}: round ${round} of ${total}${round <= warmUps ? " (warm-up)" : ""}`),
      });
  return [
    ...(await measureSequential(started, inRounds("stages/sequential", 2))),
    ...(await measureManyAndLarge(started, inRounds)),
    ...(await measureRecovery(started, { folder, logFolder: scratch.path }, inRounds("stages/recovery", 1))),
  ];
}
