import { MementoError, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { liveRuns, type LiveRun } from "../pipelines/live-runs.ts";
import { findRun, type FoundRun } from "../pipelines/runs.ts";
import { openMemento } from "../place/store-place.ts";
import { liveLine, liveTable } from "../report/live-text.ts";
import { printable } from "../terminal/printable.ts";
import { linesOn } from "../terminal/width.ts";

const LOOK_MS = 1_000;

interface WatchOptions {
  readonly once?: true;
  readonly timeline?: string;
}

/** `memento watch [RUN]`: shows runs that go on or wait. */
export function registerWatch(program: Command, run: Runner): void {
  const command = program
    .command("watch")
    .summary("show runs that go on or wait")
    .description(
      "Shows every run that goes on or waits, anew about once a second: on a terminal as a table, elsewhere a line for each change. With a RUN it ends with it.",
    )
    .argument("[run]", "only this one")
    .option("--once", "show them as they stand now, and end; so does --json")
    .option("--timeline <name>", "its timeline, where a fork has the same run")
    .action(
      async (id: string | undefined, options: WatchOptions) =>
        await run(async (invocation) => await watch(invocation, id, options)),
    );
  addHelp(command, {
    examples: [
      ["memento watch", "all of them, until Ctrl-C"],
      ["memento watch r5k2m9xq7w1c3", "that one, to its end"],
      ["memento watch --once --json", "for scripts"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function watch(
  invocation: Invocation,
  id: string | undefined,
  { once, timeline }: WatchOptions,
): Promise<Outcome> {
  const { io, style, json } = invocation;
  if (id === undefined && timeline !== undefined)
    throw new MementoError("INVALID_ARGUMENT", "--timeline says on which one a run is: name the run too");
  await using memento = await openMemento(invocation);
  const run = id === undefined ? null : await findRun(memento, id, timeline);
  if (once === true || json) {
    const runs = await liveRuns(memento, run, io.clock.now());
    return { json: { runs }, text: () => liveTable(runs, { style, now: io.clock.now(), columns: widthOf(io) }) };
  }
  using stop = catchInterrupts(invocation, "it ends here");
  await follow(invocation, memento, run, stop.signal);
  return { json: { runs: [] }, text: () => "" };
}

/** Shows the runs again and again, until it is stopped, or the one that was named has ended. */
async function follow(
  invocation: Invocation,
  memento: Memento,
  run: FoundRun | null,
  signal: AbortSignal,
): Promise<void> {
  const { io, style } = invocation;
  let drawn = 0;
  let looks = 0;
  let known = new Map<string, string>();
  while (!signal.aborted) {
    const now = io.clock.now();
    const runs = await liveRuns(memento, run, now);
    if (io.out.isTerminal) {
      const text = printable(liveTable(runs, { style, now, columns: widthOf(io) }));
      // The cursor goes up to where the last drawing began, and clears what lies below.
      io.out.write(`${drawn === 0 ? "" : `\u001b[${drawn}A\r\u001b[J`}${text}\n`);
      drawn = linesOn(text, io.out.columns);
    } else known = told(runs, known, (line) => io.out.write(`${printable(line)}\n`));
    if (run !== null && runs.length === 0) return;
    looks += 1;
    if (looks === 1 && !io.out.isTerminal) invocation.note("A line follows for each change; Ctrl-C ends it.");
    await io.clock.sleep(LOOK_MS, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

const widthOf = ({ out }: Invocation["io"]): number | null => (out.isTerminal ? out.columns : null);

/** Says what has changed since, a line for each run; gives what is said now. */
function told(
  runs: readonly LiveRun[],
  before: ReadonlyMap<string, string>,
  say: (line: string) => void,
): Map<string, string> {
  const now = new Map(runs.map((each) => [`${each.pipeline} ${each.run}`, liveLine(each)]));
  for (const [key, line] of now) if (before.get(key) !== line) say(line);
  for (const key of before.keys()) if (!now.has(key)) say(`${key}: ended`);
  return now;
}
