import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { familiesOf, readLineage, type Lineage } from "../lineage/lineage.ts";
import { renderLineage } from "../lineage/render.ts";
import { wholeNumber } from "../option-values.ts";
import { chooseTimeline, livingTimelines, timelineName } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";

interface LogOptions {
  readonly timeline?: string;
  readonly limit?: number;
  readonly all?: true;
}

const LIMIT = 100;

/** `memento log`: draws where mementos come from. */
export function registerLog(program: Command, run: Runner): void {
  const command = program
    .command("log")
    .summary("draw the lineage of mementos")
    .description(
      "Draws the lineage of each pipeline, newest first: runs, rollbacks and forks, each in a lane of its own.",
    )
    .option("--timeline <name>", "only this timeline: pipeline, pipeline@partition#fork, or a key")
    .option("--limit <n>", `at most so many mementos of each pipeline; ${LIMIT} where nothing is said`, wholeNumber)
    .option("--all", "without a limit")
    .action(async (options: LogOptions) => await run(async (invocation) => await log(invocation, options)));
  addHelp(command, {
    notes: ["●  a memento   ○  one that a rollback has left   ◆  a rollback, in the lane of its target"],
    examples: [
      ["memento log", "every pipeline of the store, with its forks"],
      ["memento log --timeline flights --limit 20", "the newest of one"],
    ],
    exitCodes: [EXIT.damaged],
  });
}

async function log(invocation: Invocation, options: LogOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const families =
    options.timeline === undefined
      ? familiesOf(await livingTimelines(memento))
      : [[await chooseTimeline(memento, { named: options.timeline })]];
  const limit = options.all === true ? null : (options.limit ?? LIMIT);
  const lineages: Lineage[] = [];
  for (const family of families) lineages.push(await readLineage(memento, family, { limit }));
  return {
    json: { lineages: lineages.map((lineage) => lineageJson(lineage)) },
    text: () => text(invocation, lineages),
  };
}

function text({ io, style }: Invocation, lineages: readonly Lineage[]): string {
  if (lineages.length === 0) return "The store holds no memento yet.";
  const options = {
    style,
    now: io.clock.now(),
    columns: io.out.isTerminal ? io.out.columns : null,
    unicode: io.env["TERM"] !== "linux",
  };
  return lineages.map((lineage) => renderLineage(lineage, options)).join("\n\n");
}

function lineageJson({ name, timelines, nodes, older }: Lineage): unknown {
  return {
    name,
    timelines: timelines.map(({ record, head }) => {
      const { check: _check, ...facts } = record;
      return { ...facts, name: timelineName(record), head: head.id };
    }),
    mementos: nodes.map(({ entry, ground, current, records }) => ({ ...entry, ground, current, records })),
    older,
  };
}
