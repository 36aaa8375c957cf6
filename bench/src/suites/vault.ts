import { installProgram, programVersion } from "../engines/debian.ts";
import { openOurStates } from "../memento-states.ts";
import { openGzipFiles, openZstdFiles } from "../peers/files.ts";
import { startLangGraphPostgres } from "../peers/langgraph-postgres.ts";
import { openLangGraphSqlite } from "../peers/langgraph-sqlite.ts";
import { BORG, openBorg, openRestic, RESTIC } from "../peers/snapshot-programs.ts";
import type { OpenKeeper } from "../peers/state-keeper.ts";
import type { Comparison } from "../report.ts";
import type { SuiteContext } from "./suite.ts";
import { measureEventLoop } from "./vault-event-loop.ts";
import { measureIncrements } from "./vault-increments.ts";
import { measureSequences } from "./vault-sequences.ts";
import { compareSequences, type Rival } from "./vault-targets.ts";

/** Saves of a state that changes a little each time, beside what else one would do with it; see the README. */
export async function vaultSuite(context: SuiteContext): Promise<readonly Comparison[]> {
  const { parts, scratch, say } = context;
  const comparisons: Comparison[] = [];
  if (parts.has("sequences")) {
    await using stack = new AsyncDisposableStack();
    say("starting the peers");
    const rivals = await startRivals(context, stack);
    const figures = await measureSequences(context, openOurStates, rivals);
    comparisons.push(...compareSequences(context.saves, figures));
  }
  if (parts.has("increments")) comparisons.push(...(await measureIncrements(context, scratch.folder("increments"))));
  if (parts.has("event-loop")) comparisons.push(...(await measureEventLoop(context, scratch.folder("event-loop"))));
  return comparisons;
}

/** The peers that were asked for and that there are. restic and borg may be missing where they cannot be installed. */
async function startRivals(
  { engines, scratch, say }: SuiteContext,
  stack: AsyncDisposableStack,
): Promise<ReadonlyMap<Rival, OpenKeeper>> {
  const rivals = new Map<Rival, OpenKeeper>();
  if (engines.has("gzip")) rivals.set("gzip", openGzipFiles);
  if (engines.has("zstd")) rivals.set("zstd", openZstdFiles);
  if (engines.has("langgraph-sqlite")) rivals.set("langgraph-sqlite", openLangGraphSqlite);
  if (engines.has("langgraph-postgres"))
    rivals.set("langgraph-postgres", stack.use(await startLangGraphPostgres(scratch)).open);
  for (const [name, program, open] of [
    ["restic", RESTIC, openRestic],
    ["borg", BORG, openBorg],
  ] as const) {
    if (!engines.has(name)) continue;
    const reason = (await programVersion(program)) === undefined ? await installProgram(program) : undefined;
    if (reason === undefined) rivals.set(name, open);
    else say(`${name} is not run, since it is not installed: ${reason}`);
  }
  return rivals;
}
