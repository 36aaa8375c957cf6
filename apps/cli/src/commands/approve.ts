import { isMementoError } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { goOn } from "../pipelines/go-on.ts";
import { findRun } from "../pipelines/runs.ts";
import { whoAsks } from "../pipelines/who-asks.ts";
import { openMemento } from "../place/store-place.ts";
import { asGiven, ownCommand } from "../terminal/own-command.ts";

interface ApproveCommandOptions {
  readonly stage?: string;
  readonly reject?: true;
  readonly by?: string;
  readonly note?: string;
  /** False for `--no-resume`. */
  readonly resume: boolean;
  readonly pipeline?: string;
  readonly timeline?: string;
}

/** `memento approve RUN`: decides what a run waits for, and goes on with it. */
export function registerApprove(program: Command, run: Runner): void {
  const command = program
    .command("approve")
    .summary("approve, or reject, what a run waits for")
    .description("Decides what a paused run waits for, keeps who decided and why, and goes on with the run.")
    .argument("<run>", "the run")
    .option("--stage <name>", "which stage, where several wait")
    .option("--reject", "refuse it: the run fails, until it is approved after all")
    .option("--by <who>", "who decides; you, where nobody is named")
    .option("--note <text>", "why")
    .option("--no-resume", "only keep the decision")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .option("--timeline <name>", "its timeline, where a fork has the same run")
    .action(
      async (id: string, options: ApproveCommandOptions) =>
        await run(async (invocation) => await approve(invocation, id, options)),
    );
  addHelp(command, {
    examples: [
      ["memento approve r5k2m9xq7w1c3", "approve, and go on"],
      ['memento approve r5k2m9xq7w1c3 --reject --note "wrong month"', "refuse it"],
      ["memento approve r5k2m9xq7w1c3 --no-resume", "for whoever runs it next"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function approve(invocation: Invocation, id: string, options: ApproveCommandOptions): Promise<Outcome> {
  const { style } = invocation;
  await using memento = await openMemento(invocation);
  const found = await findRun(memento, id, options.timeline);
  const { stage, note, reject = false } = options;
  const kept = await memento.approve(found.run, {
    timeline: found.timeline.record.key,
    reject,
    by: options.by ?? whoAsks(),
    ...(stage === undefined ? {} : { stage }),
    ...(note === undefined ? {} : { note }),
  });
  const word = reject ? "rejected" : "approved";
  const named = asGiven("--timeline", options.timeline);
  const line = `${kept.stage} of run ${style.bold(kept.run)} is ${word}`;
  if (!options.resume) {
    const next = ownCommand(invocation, "resume", kept.run, ...named);
    return { json: kept, text: () => `${line}\nGo on with it: ${next}` };
  }
  invocation.note(`${kept.stage} of run ${kept.run} is ${word}`);
  try {
    return await goOn(invocation, memento, found, options.pipeline);
  } catch (error) {
    if (!reject || !isMementoError(error, "APPROVAL_REJECTED")) throw error;
    return {
      json: { ...kept, status: "failed" },
      text: () =>
        `${line}, and the run has failed\nApprove it after all: ${ownCommand(invocation, "approve", kept.run, ...named)}`,
    };
  }
}
