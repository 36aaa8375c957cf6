import { isMementoError, MementoError, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts, signalExitCode, type Interrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collectPairs } from "../option-values.ts";
import { boundHeap } from "../pipelines/bounded-heap.ts";
import { loadPipeline } from "../pipelines/load-pipeline.ts";
import { droppedParams, paramsFor, type ParamTexts } from "../pipelines/run-params.ts";
import { timelineWords } from "../pipelines/runs.ts";
import { keyAdvice, makeStore } from "../place/make-store.ts";
import { enterProject, findStore, openAt, type StorePlace } from "../place/store-place.ts";
import { runOutcome, type RunEnd } from "../report/run-outcome.ts";
import { RunReport } from "../report/run-report.ts";
import { ownCommand } from "../terminal/own-command.ts";

interface RunCommandOptions {
  readonly param?: ParamTexts;
  readonly key?: string;
  readonly partition?: string;
  readonly fork?: string;
  readonly name?: string;
  readonly fresh?: true;
  readonly resume?: true;
}

/** `memento run FILE`: runs a pipeline, from where it stands. */
export function registerRun(program: Command, run: Runner): void {
  const command = program
    .command("run")
    .summary("run a pipeline from where it stands")
    .description("Runs the pipeline that FILE exports, from where it stands: a run that was interrupted goes on.")
    .argument("<file>", "a module (.ts, .js) that exports a pipeline")
    .option("--param <name=value>", "a parameter; repeat for more", collectPairs)
    .option("--key <key>", "the same key is the same run: one that is done is not run again")
    .option("--partition <name>", "a timeline of its own: for each day's file, or runs that go on at once")
    .option("--fork <name>", "run on a fork")
    .option("--name <name>", "which pipeline, where FILE exports several")
    .option("--fresh", "leave an interrupted run behind, and start a new one")
    .option("--resume", "only go on with a run, also with one that is paused")
    .action(async (file: string, options: RunCommandOptions) => {
      await run(async (invocation) => await runFile(invocation, file, options));
    });
  addHelp(command, {
    notes: [
      "A parameter's VALUE is read as JSON where it is JSON (42, true, [1, 2]), as text otherwise. So is a number past 2^53 - 1,\nwhich a JSON number cannot hold; where text will not do, it is refused.",
    ],
    examples: [
      ["memento run pipeline.ts", "run, or go on"],
      ["memento run pipeline.ts --param day=2013-01-02 --partition 2013-01-02", "each day's file by itself"],
      ["memento run pipeline.ts --fork try --fresh", "anew, on a fork"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function runFile(invocation: Invocation, file: string, options: RunCommandOptions): Promise<Outcome> {
  const { io } = invocation;
  if (options.fresh === true && options.resume === true)
    throw new MementoError("INVALID_ARGUMENT", "--fresh and --resume contradict each other", {
      hint: "--resume only goes on with a run, --fresh leaves it behind: say one of them.",
    });
  boundHeap();
  const place = findStore(invocation);
  const project = enterProject(place, io);
  const { pipeline, file: module } = await loadPipeline(file, io.cwd, { name: options.name });
  // Only a new run makes a store: there is nothing to resume, and no fork, where there is none.
  const mayMake = !place.exists && options.resume !== true && options.fork === undefined;
  // Parameters are judged before a store is made; a run that goes on may go without them.
  const params = options.param === undefined && !mayMake ? undefined : await paramsFor(pipeline, options.param ?? {});
  using report = new RunReport(io);
  for (const sentence of await droppedParams(pipeline, params ?? {})) report.note(sentence);
  if (project !== null) report.note(`in ${project}, the project's folder: relative paths count from there`);
  await using memento = mayMake ? await make(invocation, place, report) : await openAt(place, io);
  using stop = catchInterrupts(
    { io, note: (text) => report.note(text) },
    "a checkpoint is taken at the end of the batch under way",
  );
  const startedMs = io.clock.monotonic();
  const running = memento.run(pipeline, {
    ...(params === undefined ? {} : { params }),
    ...(options.key === undefined ? {} : { key: options.key }),
    ...(options.partition === undefined ? {} : { partition: options.partition }),
    ...(options.fork === undefined ? {} : { fork: options.fork }),
    fresh: options.fresh ?? false,
    resume: options.resume ?? false,
    signal: stop.signal,
    onEvent: report.listener,
    module,
  });
  const result = await running.catch(async (error: unknown) => {
    throw await withWayOut(invocation, memento, error);
  });
  const durationMs = io.clock.monotonic() - startedMs;
  const named = result.status === "completed" ? [] : await timelineWords(memento, result.run, result.timeline);
  return outcomeOf(invocation, { store: memento.vault.store.url, result, report, stop, durationMs, named });
}

/** A run that stands in the way is gone on with by a command that means this one and no other. */
async function withWayOut(invocation: Invocation, memento: Memento, error: unknown): Promise<unknown> {
  if (!isMementoError(error, "RUN_PENDING")) return error;
  const { code, message, details } = error;
  const [run, timeline] = [String(details["run"]), String(details["timeline"])];
  const goOn = ownCommand(invocation, "resume", run, ...(await timelineWords(memento, run, timeline)));
  const hint = `Go on with it by \`${goOn}\`, or leave it behind by --fresh.`;
  return new MementoError(code, message, { details, hint, cause: error });
}

function outcomeOf(invocation: Invocation, { stop, ...end }: RunEnd & { readonly stop: Interrupts }): Outcome {
  const { result } = end;
  const outcome = runOutcome(invocation, end);
  return result.status === "interrupted"
    ? { ...outcome, exitCode: signalExitCode(stop.received ?? "SIGINT") }
    : outcome;
}

async function make(invocation: Invocation, place: StorePlace, report: RunReport): Promise<Memento> {
  const { memento, created, key } = await makeStore(place, invocation.io);
  if (created) report.note(`made a store at ${memento.vault.store.url}\n${keyAdvice(key)}`);
  return memento;
}
