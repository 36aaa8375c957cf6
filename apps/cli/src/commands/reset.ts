import { MementoError, type ResetPlan, type ResetResult } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { pipelineOf } from "../pipelines/pipeline-of.ts";
import { chooseTimeline, timelineName } from "../pipelines/timelines.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";
import { planText } from "../report/plan-text.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";
import { counted } from "../terminal/words.ts";

interface ResetCommandOptions {
  readonly keepData?: true;
  readonly purge?: true;
  readonly secure?: true;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly confirm?: string;
  readonly force?: readonly string[];
  readonly why?: string;
  readonly pipeline?: string;
}

/** `memento reset PIPELINE`: back to nothing, after asking twice. */
export function registerReset(program: Command, run: Runner): void {
  const command = program
    .command("reset")
    .summary("take back all that a pipeline wrote, and begin anew")
    .description(
      "Takes all data of a pipeline's timeline back and forgets its offsets, state and outputs: the next run begins as the first one did. Shows what would happen, and asks twice. The history stays, and the reset can be rolled back, unless it is purged.",
    )
    .argument("<pipeline>", "the pipeline, or its timeline")
    .option("--keep-data", "leave the data where it is, as the timeline's own")
    .option("--purge", "remove the mementos before too: then there is no way back")
    .option("--secure", "with --purge: so that nobody can open them again")
    .option("--force <name>", "go on though this sink cannot be taken back; repeat for more", collect)
    .option("--dry-run", "say what would happen; change nothing")
    .option("-y, --yes", "without asking; needs --confirm")
    .option("--confirm <name>", "the pipeline's name once more, for scripts")
    .option("--why <text>", "the reason; kept as evidence")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (name: string, options: ResetCommandOptions) =>
        await run(async (invocation) => await reset(invocation, name, options)),
    );
  addHelp(command, {
    examples: [
      ["memento reset flights --dry-run", "what would happen"],
      ["memento reset flights", "after asking twice"],
      ["memento reset flights --yes --confirm flights", "in a script"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function reset(invocation: Invocation, name: string, options: ResetCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  if (options.secure === true && options.purge !== true)
    throw new MementoError("INVALID_ARGUMENT", "--secure says how mementos are removed, and needs --purge");
  await using memento = await openMemento(invocation);
  const timeline = await chooseTimeline(memento, { named: name, pipelines: true });
  const { pipeline } = await pipelineOf(memento, timeline, { file: options.pipeline, cwd: io.cwd });
  const { caretaker, partition, fork } = timeline.record;
  const place = { caretaker, partition, fork };
  const choice = { ...place, keepData: options.keepData ?? false };
  const plan = await memento.planReset(pipeline, choice);
  const named = timelineName(timeline.record);
  if (options.dryRun === true) return { json: plan, text: () => shown(invocation, plan, options, named) };
  const confirm = await confirmed(invocation, plan, options, named);
  using _stop = catchInterrupts(invocation, "the reset is finished first");
  const result = await memento.reset(pipeline, {
    ...choice,
    plan: plan.hash,
    confirm,
    purge: options.secure === true ? "secure" : (options.purge ?? false),
    force: options.force ?? [],
    by: whoAsks(),
    why: options.why ?? "",
  });
  return { json: result, text: () => resetText(invocation, result, options, named) };
}

/** `timeline` is what the reset was asked for: a partition of the pipeline, or a fork, is another one than the pipeline's own. */
function shown(
  invocation: Invocation,
  plan: ResetPlan,
  { keepData, purge, secure, pipeline }: ResetCommandOptions,
  timeline: string,
): string {
  const { io, style } = invocation;
  const chosen = Object.entries({ "--keep-data": keepData, "--purge": purge, "--secure": secure })
    .filter(([, given]) => given === true)
    .map(([option]) => option);
  const text = planText(plan, {
    style,
    now: io.clock.now(),
    columns: io.out.isTerminal ? io.out.columns : null,
    title: `Reset ${timeline}`,
    apply: ownCommand(invocation, "reset", timeline, ...chosen, ...asGiven("--pipeline", pipeline)),
    asks: true,
  });
  const data = keepData === true ? "The data stays where it is." : "";
  const history = purge === true ? "All mementos before are removed: there is no way back." : "";
  return [text, ...[data, history].filter((line) => line !== "")].join("\n");
}

/** Asks whether, and then for the name. */
async function confirmed(
  invocation: Invocation,
  plan: ResetPlan,
  options: ResetCommandOptions,
  timeline: string,
): Promise<string> {
  const { io } = invocation;
  if (options.yes === true && options.confirm !== undefined) return options.confirm;
  if (io.ask === null || options.yes === true) {
    const what = options.yes === true ? "The pipeline's name is not confirmed" : "There is no terminal to ask on";
    throw new MementoError("INVALID_ARGUMENT", what, {
      hint: `Say --yes --confirm ${plan.pipeline} to reset it without being asked.`,
    });
  }
  const first = await io.ask(`${shown(invocation, plan, options, timeline)}\nReset ${timeline}? [y/N] `);
  if (!/^y(?:es)?$/iu.test(first.trim()))
    throw new MementoError("CANCELLED", "Nothing was reset", { hint: "Answer y to reset." });
  const second = (await io.ask(`Type the pipeline's name to go on: `)).trim();
  if (second === plan.pipeline) return second;
  throw new MementoError("CANCELLED", "Nothing was reset: that is another name", {
    hint: `Its name is ${plan.pipeline}.`,
  });
}

function resetText(
  invocation: Invocation,
  { head, undo, plan, purged }: ResetResult,
  { pipeline }: ResetCommandOptions,
  timeline: string,
): string {
  const { style } = invocation;
  const removed = plan.sinks.map(
    ({ name, remove, restore }) => `  ${name}: ${counted(remove, "row")} removed, ${restore} put back`,
  );
  const last =
    undo === null
      ? `${counted(purged, "memento")} removed`
      : style.dim(`To undo it: ${ownCommand(invocation, "plan", undo, ...asGiven("--pipeline", pipeline))}`);
  return [`${style.green("Reset")} ${timeline}`, ...removed, `head ${head}`, last].join("\n");
}
