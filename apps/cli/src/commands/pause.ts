import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { findRun } from "../pipelines/runs.ts";
import { openMemento } from "../place/store-place.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";

/** `memento pause RUN`: lets a run stop at its next checkpoint, until it is resumed. */
export function registerPause(program: Command, run: Runner): void {
  const command = program
    .command("pause")
    .summary("let a run stop at its next checkpoint")
    .description(
      "Asks a run that is under way to take a checkpoint and stop; one that stands interrupted is kept from going on by itself.",
    )
    .argument("<run>", "the run")
    .option("--timeline <name>", "its timeline, where a fork has the same run")
    .action(
      async (id: string, { timeline }: { readonly timeline?: string }) =>
        await run(async (invocation) => await pause(invocation, id, timeline)),
    );
  addHelp(command, {
    examples: [
      ["memento pause r5k2m9xq7w1c3", "stop at the next checkpoint"],
      ["memento resume r5k2m9xq7w1c3", "go on"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused],
  });
}

async function pause(invocation: Invocation, id: string, named: string | undefined): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const { run, timeline } = await findRun(memento, id, named);
  const result = await memento.pause(run, { timeline: timeline.record.key });
  const { bold } = invocation.style;
  const text =
    result.status === "requested"
      ? `run ${bold(result.run)} is under way; its worker was asked to stop at its next checkpoint`
      : `run ${bold(result.run)} is paused`;
  return {
    json: result,
    text: () =>
      `${text}\nGo on with it: ${ownCommand(invocation, "resume", result.run, ...asGiven("--timeline", named))}`,
  };
}
