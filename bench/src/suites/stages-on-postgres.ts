import { startPostgres } from "../engines/postgres.ts";
import { interleave, timeMs } from "../measure.ts";
import { startOurs } from "../memento-process.ts";
import { makeDatabase, openBarePostgres } from "../peers/bare-postgres.ts";
import { startDbos } from "../peers/dbos.ts";
import type { Comparison } from "../report.ts";
import { RUNS_AT_ONCE, STAGES } from "../work.ts";
import { measureAtOnce } from "./stages-at-once.ts";
import { rate, rateAgainst } from "./stages-sequential.ts";
import { present, type SuiteContext } from "./suite.ts";

/**
 * One run of 1,000 small stages with our store on PostgreSQL, against bare inserts and DBOS, and many runs at once: each in a
 * database of its own on one server, at the server's defaults.
 */
export async function stagesOnPostgres({
  engines,
  rounds,
  scratch,
  say,
}: SuiteContext): Promise<readonly Comparison[]> {
  await using stack = new AsyncDisposableStack();
  say("starting PostgreSQL and the peers");
  const postgres = stack.use(await startPostgres(scratch));
  const administration = postgres.url("postgres");
  const bare = stack.use(await openBarePostgres(postgres.url("bare"), administration));
  const dbos = engines.has("dbos") ? stack.use(await startDbos(scratch, postgres)) : undefined;
  await makeDatabase(postgres.url("memento"), administration);
  const ours = stack.use(await startOurs(scratch, postgres.url("memento")));
  const samples = await interleave(
    present([
      { name: "ours", measure: async () => rate((await ours.run({ stages: STAGES })).ms) },
      { name: "bare", measure: async () => rate(await timeMs(() => bare.commit(STAGES))) },
      dbos && { name: "dbos", measure: async () => rate(await dbos.run({ stages: STAGES })) },
    ]),
    {
      warmUps: 2,
      rounds,
      onRound: (round, total) => say(`stages/postgres: round ${round} of ${total}`),
    },
  );
  const against = (peer: string, title: string, atLeast: number): Comparison =>
    rateAgainst(`stages/postgres vs ${peer}`, samples, { peer, title, atLeast });
  const atOnce = await measureAtOnce(
    { ours, dbos },
    async (contenders) =>
      await interleave(contenders, {
        warmUps: 2,
        rounds,
        onRound: (round, total) => say(`stages/postgres, ${RUNS_AT_ONCE} at once: round ${round} of ${total}`),
      }),
  );
  return [
    against("bare", "bare inserts (one connection)", 0.5),
    against("dbos", "DBOS (same server)", 2),
    rateAgainst("stages/postgres, at once vs dbos", atOnce, { peer: "dbos", title: "DBOS (same server)", atLeast: 5 }),
  ];
}
