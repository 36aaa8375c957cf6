import { isMementoError, type Memento } from "@mementojs/memento";

import { EXIT } from "../exit-code.ts";
import { catchInterrupts, signalExitCode } from "../interrupts.ts";
import type { Invocation, Outcome } from "../invocation.ts";
import { runOutcome } from "../report/run-outcome.ts";
import { RunReport } from "../report/run-report.ts";
import { boundHeap } from "./bounded-heap.ts";
import { pipelineOf } from "./pipeline-of.ts";
import { timelineWords, type FoundRun } from "./runs.ts";

/** Goes on with a run that stands unfinished, until it ends or is stopped. `file`: the pipeline's file, where it is no longer where the run had it from. */
export async function goOn(
  invocation: Invocation,
  memento: Memento,
  { run, timeline }: FoundRun,
  file: string | undefined,
): Promise<Outcome> {
  boundHeap();
  const { io } = invocation;
  const { pipeline, file: module } = await pipelineOf(memento, timeline, { file, cwd: io.cwd });
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
      module,
    });
    const durationMs = io.clock.monotonic() - startedMs;
    const outcome = runOutcome(invocation, {
      result,
      report,
      durationMs,
      store: memento.vault.store.url,
      named: result.status === "completed" ? [] : await timelineWords(memento, result.run, result.timeline),
    });
    return result.status === "interrupted"
      ? { ...outcome, exitCode: signalExitCode(stop.received ?? "SIGINT") }
      : outcome;
  } catch (error) {
    const { restored } = report;
    // A rollback that a crash had cut in two was all that was left to do.
    if (restored === null || !isMementoError(error, "NOTHING_TO_RESUME")) throw error;
    return {
      json: { run, status: "restored", restored, head: restored },
      text: () => `The rollback is finished; nothing is left to run.\nhead ${restored}`,
      exitCode: EXIT.done,
    };
  }
}
