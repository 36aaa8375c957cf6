import { MementoError, type AdoptPlan, type AdoptResult, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { pipelineOf } from "../pipelines/pipeline-of.ts";
import { chooseTimeline, livingTimelines, timelineName, type LivingTimeline } from "../pipelines/timelines.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";
import { planText } from "../report/plan-text.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";
import { counted } from "../terminal/words.ts";

interface AdoptCommandOptions {
  readonly plan?: string;
  readonly rerun?: true;
  readonly force?: readonly string[];
  readonly why?: string;
  readonly pipeline?: string;
}

/** `memento adopt FORK`: says what adopting a fork would do; with its hash, does it. */
export function registerAdopt(program: Command, run: Runner): void {
  const command = program
    .command("adopt")
    .summary("make a fork's head that of the timeline it came from")
    .description(
      "Makes a fork's offsets, state and outputs those of the timeline that it came from, whose data goes back to where the fork began. Says what would happen; does it with the plan's hash. A fork that has written data is refused, for rows belong to the timeline that wrote them: with --rerun they are taken out, and the next run writes them anew.",
    )
    .argument("<fork>", "the fork's name, or its timeline")
    .option("--plan <hash>", "the plan's hash, as it was shown; does it")
    .option("--rerun", "take the fork's data out, and run again from where it began")
    .option("--force <name>", "go on though this sink or source cannot be taken back; repeat for more", collect)
    .option("--why <text>", "the reason; kept as evidence")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (name: string, options: AdoptCommandOptions) =>
        await run(async (invocation) => await adopt(invocation, name, options)),
    );
  addHelp(command, {
    examples: [
      ["memento adopt try", "what would happen"],
      ["memento adopt try --plan HASH --why 'the mended transform is right'", "do it"],
      ["memento adopt try --rerun", "the fork has written data: what taking it out would do"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function adopt(invocation: Invocation, name: string, options: AdoptCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  await using memento = await openMemento(invocation);
  const timeline = await forkNamed(memento, name);
  const { pipeline } = await pipelineOf(memento, timeline, { file: options.pipeline, cwd: io.cwd });
  const { caretaker, partition, fork } = timeline.record;
  const choice = { caretaker, partition, fork, rerun: options.rerun ?? false };
  if (options.plan === undefined) {
    const plan = await memento.planAdoption(pipeline, choice);
    return { json: plan, text: () => shown(invocation, plan, name, options) };
  }
  using _stop = catchInterrupts(invocation, "the adoption is finished first");
  const result = await memento.adopt(pipeline, {
    ...choice,
    plan: options.plan,
    force: options.force ?? [],
    by: whoAsks(),
    why: options.why ?? "",
  });
  return { json: result, text: () => adoptText(invocation, result, timelineName(timeline.record), options) };
}

/** A fork by its own name, where no other has it, or by that of its timeline. */
async function forkNamed(memento: Memento, name: string): Promise<LivingTimeline> {
  const forks = (await livingTimelines(memento)).filter(({ record }) => record.fork === name);
  const [only] = forks;
  const timeline =
    only !== undefined && forks.length === 1 ? only : await chooseTimeline(memento, { named: name, pipelines: true });
  if (timeline.record.fork !== "") return timeline;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${timelineName(timeline.record)} is no fork, and so nothing can adopt it`,
  );
}

function shown(invocation: Invocation, plan: AdoptPlan, name: string, options: AdoptCommandOptions): string {
  const { io, style } = invocation;
  const line = (rerun: boolean): string =>
    ownCommand(invocation, "adopt", name, ...(rerun ? ["--rerun"] : []), ...asGiven("--pipeline", options.pipeline));
  const { forkData, forkPlan } = plan;
  const data = forkData.flatMap(({ kind, name: item, where, entries }) =>
    entries === null ? [] : [`  ${kind} ${item}: ${counted(entries, "row")} of ${where}`],
  );
  const staying = forkData.flatMap(({ kind, name: item, where, entries }) =>
    entries === null ? [`  ${kind} ${item}: what it has at ${where}`] : [],
  );
  const hasWritten = data.length > 0 && forkPlan === null;
  const first =
    data.length === 0
      ? []
      : [
          hasWritten
            ? `${style.red("Refused as it is:")} the fork has written data, which belongs to it; --rerun takes it out and runs again from where the fork began`
            : "The fork's data is taken out first:",
          ...data,
          "",
        ];
  // What keeps the fork's data from being taken out has to be forced as well.
  const refused = [...new Set([...plan.refused, ...(forkPlan?.refused ?? [])])];
  const text = planText(
    { ...plan, refused },
    {
      style,
      now: io.clock.now(),
      columns: io.out.isTerminal ? io.out.columns : null,
      title: `Adopt ${name} as the head of ${plan.pipeline}`,
      apply: line(options.rerun ?? false),
      ...(hasWritten ? { instead: { what: "See what taking the fork's data out would do", line: line(true) } } : {}),
    },
  );
  const stays = staying.length === 0 ? [] : ["The fork wrote elsewhere too, and this stays as it is:", ...staying, ""];
  return [...first, ...stays, text].join("\n");
}

function adoptText(
  invocation: Invocation,
  { head, undo, plan }: AdoptResult,
  fork: string,
  { pipeline }: AdoptCommandOptions,
): string {
  const { style } = invocation;
  const next = plan.forkPlan === null ? [] : ["The next run writes anew what the fork had written."];
  return [
    `${style.green("Adopted")} ${fork} as the head of ${plan.pipeline}`,
    ...next,
    `head ${head}`,
    style.dim(`To undo it: ${ownCommand(invocation, "plan", undo, ...asGiven("--pipeline", pipeline))}`),
  ].join("\n");
}
