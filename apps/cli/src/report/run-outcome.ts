import type { RunResult } from "@mementojs/memento";

import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome } from "../invocation.ts";
import { ownCommand } from "../terminal/own-command.ts";
import { counted, durationText } from "../terminal/words.ts";
import type { RunReport } from "./run-report.ts";

/** How a run ended, with what was told of it. */
export interface RunEnd {
  readonly result: RunResult;
  readonly report: RunReport;
  readonly durationMs: number;
  readonly store: string;
  /** What tells a command which run of this id is meant, as `timelineWords` gives it. */
  readonly named: readonly string[];
}

/** A run's result, for programs and for people. */
export function runOutcome(invocation: Pick<Invocation, "style" | "store" | "io">, end: RunEnd): Outcome {
  const exitCode = end.result.status === "cancelled" ? EXIT.failed : EXIT.done;
  return { json: runJson(end), text: () => runText(invocation, end), exitCode };
}

function runJson({ result, report, durationMs, store }: RunEnd): unknown {
  const { run, timeline, status, resumed, alreadyDone, skipped, recordsReadAgain, waitingFor, credential, head } =
    result;
  return {
    run,
    status,
    waitingFor,
    credential,
    resumed,
    resumedFrom: report.resumedFrom,
    alreadyDone,
    skipped,
    recordsReadAgain,
    takenBack: report.takenBack,
    restored: report.restored,
    stages: report.stages.map(({ name, records }) => ({ name, records })),
    mementos: report.mementos,
    timeline,
    head,
    store,
    durationMs: Math.round(durationMs),
  };
}

/** What was read of all sources; where nothing was, what the busiest stage says that it worked through. */
function recordsOf(stages: RunReport["stages"]): number {
  const read = stages.reduce((sum, { reads, records }) => sum + (reads ? records : 0), 0);
  return read > 0 ? read : Math.max(0, ...stages.map(({ records }) => records));
}

function runText(
  invocation: Pick<Invocation, "style" | "store" | "io">,
  { result, report, durationMs, named }: RunEnd,
): string {
  const { style } = invocation;
  const { run, status, alreadyDone, waitingFor, credential, head } = result;
  if (alreadyDone) return `run ${style.bold(run)} was done before: nothing was run\nhead ${head}`;
  const time = durationText(durationMs);
  const records = recordsOf(report.stages);
  const facts = [
    counted(report.stages.length, "stage"),
    ...(records > 0 ? [counted(records, "record")] : []),
    counted(report.mementos, "memento"),
  ];
  const goOn = ownCommand(invocation, "resume", run, ...named);
  switch (status) {
    case "completed":
      return `run ${style.bold(run)} ${style.green("completed")} in ${time}: ${facts.join(", ")}\nhead ${head}`;
    case "paused":
      if (waitingFor !== null) {
        const [yes, no] = [[], ["--reject"]].map((last) => ownCommand(invocation, "approve", run, ...named, ...last));
        const decide = `Decide: ${yes}, or ${no}`;
        return `run ${style.bold(run)} waits for the approval of ${style.bold(waitingFor)}, at memento ${head}\n${decide}`;
      }
      if (credential !== null) {
        const provide = `${credential.problem}\nProvide it, then go on: ${goOn}`;
        return `run ${style.bold(run)} waits for the credential ${style.bold(credential.name)}, at memento ${head}\n${provide}`;
      }
      return `run ${style.bold(run)} is ${style.blue("paused")} at memento ${head}\nGo on with it: ${goOn}`;
    case "cancelled":
      return `run ${style.bold(run)} was ${style.yellow("cancelled")} at memento ${head}\nThe next run starts at its offsets and state.`;
    case "interrupted":
      return `run ${style.bold(run)} was ${style.yellow("interrupted")} at memento ${head}\nGo on with it: ${goOn}`;
  }
}
