import { MementoError, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { goOn } from "../pipelines/go-on.ts";
import { findRun, pendingRuns, type FoundRun } from "../pipelines/runs.ts";
import { openMemento } from "../place/store-place.ts";

interface ResumeOptions {
  readonly pipeline?: string;
  readonly timeline?: string;
}

/** `memento resume [RUN]`: goes on with a run that stands unfinished. */
export function registerResume(program: Command, run: Runner): void {
  const command = program
    .command("resume")
    .summary("go on with an interrupted or paused run")
    .description("Goes on with a run that was interrupted, has failed or is paused, at its last memento.")
    .argument("[run]", "the run; the only unfinished one where none is named")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .option("--timeline <name>", "its timeline, where several runs stand unfinished, or a fork has the same run")
    .action(
      async (id: string | undefined, options: ResumeOptions) =>
        await run(async (invocation) => await resume(invocation, id, options)),
    );
  addHelp(command, {
    examples: [
      ["memento resume", "the only unfinished run"],
      ["memento resume r5k2m9xq7w1c3", "that one"],
      ["memento resume r5k2m9xq7w1c3 --pipeline moved/pipeline.ts", "its file was moved"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function resume(invocation: Invocation, id: string | undefined, options: ResumeOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const { timeline } = options;
  const found = id === undefined ? await onlyPending(memento, timeline) : await findRun(memento, id, timeline);
  return await goOn(invocation, memento, found, options.pipeline);
}

/** The only run that stands unfinished, on one timeline where it is named. A fork may have a finished run of the same id. */
async function onlyPending(memento: Memento, named: string | undefined): Promise<FoundRun> {
  const pending = await pendingRuns(memento, named);
  const [only] = pending;
  if (only === undefined) throw new MementoError("NOTHING_TO_RESUME", "No run stands interrupted or paused");
  if (pending.length === 1) return only;
  const list = pending.map(({ run, name, status }) => `${run} (${name}, ${status})`).join(", ");
  throw new MementoError("INVALID_ARGUMENT", `${pending.length} runs stand unfinished: ${list}`, {
    hint: "Name the one that is to go on, or its timeline by --timeline NAME.",
  });
}
