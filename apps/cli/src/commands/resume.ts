import { isMementoError, MementoError, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts, signalExitCode } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { pipelineOf } from "../pipelines/pipeline-of.ts";
import { findRun, pendingRuns } from "../pipelines/runs.ts";
import { openMemento } from "../place/store-place.ts";
import { runOutcome } from "../report/run-outcome.ts";
import { RunReport } from "../report/run-report.ts";

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
    .option("--timeline <name>", "its timeline, where a fork has the same run")
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
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  const { timeline, run } = await findRun(memento, id ?? (await onlyPending(memento)), options.timeline);
  const { pipeline, file } = await pipelineOf(memento, timeline, { file: options.pipeline, cwd: io.cwd });
  const { caretaker, partition, fork } = timeline.record;
  using report = new RunReport(io);
  using stop = catchInterrupts(
    { io, note: (text) => report.note(text) },
    "a checkpoint is taken at the end of the batch under way",
  );
  const startedMs = io.clock.monotonic();
  try {
    const place = { caretaker, ...(partition === "" ? {} : { partition }), ...(fork === "" ? {} : { fork }) };
    const result = await memento.run(pipeline, {
      ...place,
      resume: true,
      signal: stop.signal,
      onEvent: report.listener,
      module: file,
    });
    const exitCode = result.status === "interrupted" ? signalExitCode(stop.received ?? "SIGINT") : EXIT.done;
    const durationMs = io.clock.monotonic() - startedMs;
    return { ...runOutcome(style, { result, report, durationMs, store: memento.vault.store.url }), exitCode };
  } catch (error) {
    const { restored } = report;
    // A rollback that a crash had cut in two was all that was left to do.
    if (restored === null || !isMementoError(error, "NOTHING_TO_RESUME")) throw error;
    return {
      json: { run, status: "restored", restored, head: restored },
      text: () => `The rollback is finished; nothing is left to run.\nhead ${restored}`,
    };
  }
}

async function onlyPending(memento: Memento): Promise<string> {
  const pending = await pendingRuns(memento);
  const [only] = pending;
  if (only === undefined) throw new MementoError("NOTHING_TO_RESUME", "No run stands interrupted or paused");
  if (pending.length === 1) return only.run;
  const list = pending.map(({ run, name, status }) => `${run} (${name}, ${status})`).join(", ");
  throw new MementoError("INVALID_ARGUMENT", `${pending.length} runs stand unfinished: ${list}`, {
    hint: "Name the one that is to go on.",
  });
}
