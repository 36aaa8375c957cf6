import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findRun } from "../pipelines/runs.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";

interface CancelCommandOptions {
  readonly by?: string;
  readonly why?: string;
  readonly timeline?: string;
}

/** `memento cancel RUN`: ends a run for good. */
export function registerCancel(program: Command, run: Runner): void {
  const command = program
    .command("cancel")
    .summary("end a run for good")
    .description(
      "Ends a run at its last memento, also one that is under way or hangs: its worker loses the timeline. The next run starts at its offsets and state.",
    )
    .argument("<run>", "the run")
    .option("--by <who>", "who asks; you, where nobody is named")
    .option("--why <text>", "why")
    .option("--timeline <name>", "its timeline, where a fork has the same run")
    .action(
      async (id: string, options: CancelCommandOptions) =>
        await run(async (invocation) => await cancel(invocation, id, options)),
    );
  addHelp(command, {
    examples: [
      ["memento cancel r5k2m9xq7w1c3", "end it"],
      ['memento cancel r5k2m9xq7w1c3 --why "wrong month"', "and say why"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused],
  });
}

async function cancel(
  invocation: Invocation,
  id: string,
  { by, why, timeline: named }: CancelCommandOptions,
): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const { run, timeline } = await findRun(memento, id, named);
  const result = await memento.cancel(run, {
    timeline: timeline.record.key,
    by: by ?? whoAsks(),
    ...(why === undefined ? {} : { why }),
  });
  const { bold, yellow } = invocation.style;
  const worker = result.wasLive ? "; its worker has lost the timeline and ends" : "";
  return {
    json: result,
    text: () => `run ${bold(run)} is ${yellow("cancelled")} at memento ${result.head}${worker}`,
  };
}
