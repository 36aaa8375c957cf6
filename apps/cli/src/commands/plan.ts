import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collect } from "../option-values.ts";
import { rollbackSubject } from "../pipelines/rollback-place.ts";
import { openMemento } from "../place/store-place.ts";
import { planText } from "../report/plan-text.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";

interface PlanCommandOptions {
  readonly only?: readonly string[];
  readonly timeline?: string;
  readonly pipeline?: string;
}

/** `memento plan TARGET`: says what going back would do. */
export function registerPlan(program: Command, run: Runner): void {
  const command = program
    .command("plan")
    .summary("say what a rollback would do")
    .description(
      "Says, item by item, what going back to a memento would do to offsets, state and data. Changes nothing.",
    )
    .argument("<target>", "where to go back to")
    .option(
      "--only <item>",
      "only this goes back: sink:orders, source:ids, stage:load, state; repeat for more",
      collect,
    )
    .option("--timeline <name>", "the timeline that goes back, where there are several")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (target: string, options: PlanCommandOptions) =>
        await run(async (invocation) => await plan(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [
      ["memento plan stage:extract", "back to the end of stage extract"],
      ["memento plan head~1 --timeline flights#try", "one memento back, on a fork"],
      ["memento plan head~3 --only sink:orders", "one sink; the plan warns of what then disagrees"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused],
  });
}

async function plan(invocation: Invocation, target: string, options: PlanCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  const { pipeline, place } = await rollbackSubject(memento, { target, ...options, cwd: io.cwd });
  const { only } = options;
  const made = await memento.plan(pipeline, target, { ...place, ...(only === undefined ? {} : { only }) });
  return {
    json: made,
    text: () => {
      // By id: what head~1 means may be another memento by the time the plan is applied.
      const chosen = (made.only ?? []).flatMap((item) => ["--only", item]);
      const file = asGiven("--pipeline", options.pipeline);
      const apply = ownCommand(invocation, "rollback", made.target.id, ...chosen, ...file);
      return planText(made, { style, now: io.clock.now(), columns: io.out.isTerminal ? io.out.columns : null, apply });
    },
  };
}
