import type { MementoStatistics, StatisticsBy, StatisticsReport } from "@mementojs/memento";
import { Option, type Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { openMemento } from "../place/store-place.ts";
import { oneLine } from "../terminal/printable.ts";
import type { Style } from "../terminal/style.ts";
import { renderTable, type Column } from "../terminal/table.ts";
import { bytesText, durationText, grouped } from "../terminal/words.ts";

const WAYS: readonly StatisticsBy[] = ["caretaker", "pipeline", "stage", "day"];

interface StatsOptions {
  readonly by?: StatisticsBy;
  readonly caretaker?: string;
  readonly since?: string;
  readonly until?: string;
  readonly tz?: string;
}

/** `memento stats`: counts, sizes and times. */
export function registerStats(program: Command, run: Runner): void {
  const command = program
    .command("stats")
    .summary("counts, sizes and times")
    .description("Counts mementos, their sizes, runs and how they ended, from the index alone: nothing is opened.")
    .addOption(new Option("--by <what>", "a row for each").choices(WAYS).default("caretaker"))
    .option("--caretaker <name>", "of this caretaker only")
    .option("--since <time>", "created from this moment on, as in 2026-01-31 (in UTC) or 2026-01-31T12:00Z")
    .option("--until <time>", "created before this moment")
    .option("--tz <name>", "the time zone that days are told apart in", "UTC")
    .action(async (options: StatsOptions) => await run(async (invocation) => await stats(invocation, options)));
  addHelp(command, {
    examples: [
      ["memento stats", "a row for each caretaker"],
      ["memento stats --by day --tz Europe/Vienna", "a row for each day there"],
      ["memento stats --by stage --json", "for a program"],
    ],
    notes: [
      `HELD is what was written for the mementos before compression, SAVED what increments spare of their SIZE, STORED what
they take in the store, sealed. STEP is the time between two mementos of a run: half of them take at most the first, 95
in 100 at most the second. RESUMED are the runs that were resumed at least once, and how many of them were completed.`,
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function stats(invocation: Invocation, options: StatsOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const { by, caretaker, since, until, tz } = options;
  const report = await memento.statistics({
    ...(by === undefined ? {} : { by }),
    ...(caretaker === undefined ? {} : { caretaker }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(tz === undefined ? {} : { timeZone: tz }),
  });
  return { json: report, text: () => table(invocation, report) };
}

function table({ style, io }: Invocation, { by, total, groups }: StatisticsReport): string {
  if (groups.length === 0) return "There is nothing to count.";
  const withRuns = total.runs !== null && total.runs.count > 0;
  const right = (head: string): Column => ({ head, align: "right" });
  const columns = [
    { head: by.toUpperCase(), shrinks: true },
    ...["MEMENTOS", "SIZE", "HELD", "SAVED", "STORED"].map(right),
    ...(withRuns ? ["RUNS", "COMPLETED", "RESUMED"].map(right) : []),
    ...(total.stepMs === null ? [] : [right("STEP")]),
  ];
  const rowOf = (name: string, each: MementoStatistics): readonly string[] => [
    name,
    grouped(each.mementos),
    bytesText(each.logicalBytes),
    bytesText(each.heldBytes),
    `${Math.max(0, Math.round(100 * each.savedShare))}%`,
    bytesText(each.storedBytes),
    ...(withRuns ? runCells(each) : []),
    ...(total.stepMs === null ? [] : [stepText(each)]),
  ];
  const rows = groups.map(({ key, ...each }) => rowOf(oneLine(key), each));
  const all = groups.length === 1 ? [] : [totalRow(rowOf("in all", total), style)];
  return renderTable(columns, [...rows, ...all], style, io.out.isTerminal ? io.out.columns : null);
}

const totalRow = (cells: readonly string[], style: Style): readonly string[] => cells.map((cell) => style.bold(cell));

function runCells({ runs }: MementoStatistics): readonly string[] {
  if (runs === null || runs.count === 0) return ["", "", ""];
  const resumed = runs.resumed === 0 ? "" : `${grouped(runs.resumedAndCompleted)} of ${grouped(runs.resumed)}`;
  return [grouped(runs.count), grouped(runs.byStatus.completed ?? 0), resumed];
}

function stepText({ stepMs }: MementoStatistics): string {
  return stepMs === null ? "" : `${durationText(stepMs.p50)}, ${durationText(stepMs.p95)}`;
}
