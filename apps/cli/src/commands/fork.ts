import path from "node:path";

import { PIECE, resolveTarget, type Memento, type Pipeline, type RunRecord } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { collectPairs } from "../option-values.ts";
import { moduleOf, pipelineOf } from "../pipelines/pipeline-of.ts";
import { paramsFor, type ParamTexts } from "../pipelines/run-params.ts";
import { chooseTimeline, timelineName } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";
import { ownCommand } from "../terminal/own-command.ts";

interface ForkCommandOptions {
  readonly name: string;
  readonly param?: ParamTexts;
  readonly timeline?: string;
  readonly pipeline?: string;
}

/** `memento fork TARGET --name NAME`: a timeline of its own from any memento. */
export function registerFork(program: Command, run: Runner): void {
  const command = program
    .command("fork")
    .summary("start a timeline of its own from a memento")
    .description(
      "Starts a timeline of its own from a memento: the same offsets, state and outputs. Nothing in the sinks is its own yet. Its runs write into the same places as those of the timeline it came from, unless its parameters or the pipeline's file name others.",
    )
    .argument("<target>", "the memento to start from")
    .requiredOption("--name <name>", "the fork's name")
    .option("--param <name=value>", "another parameter for the fork; repeat for more", collectPairs)
    .option("--timeline <name>", "the timeline of the memento, where there are several")
    .option("--pipeline <file>", "the pipeline's file, where it is no longer where the run had it from")
    .action(
      async (target: string, options: ForkCommandOptions) =>
        await run(async (invocation) => await fork(invocation, target, options)),
    );
  addHelp(command, {
    notes: [TARGET_NOTE],
    examples: [["memento fork stage:extract --name try --param into=try.db", "the same extract, loaded elsewhere"]],
    exitCodes: [EXIT.damaged, EXIT.refused],
  });
}

async function fork(invocation: Invocation, target: string, options: ForkCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  const timeline = await chooseTimeline(memento, { named: options.timeline, target, pipelines: true });
  const ground = await resolveTarget(memento.vault, timeline, target);
  const { name, param } = options;
  const code =
    param === undefined ? null : await pipelineOf(memento, timeline, { file: options.pipeline, cwd: io.cwd });
  const changed =
    code === null || param === undefined
      ? {}
      : { pipeline: code.pipeline, params: await changedParams(memento, code.pipeline, ground, param) };
  const { timeline: key, entry } = await memento.fork(ground, { name, ...changed });
  const made = timelineName({ ...timeline.record, fork: name });
  const partition = timeline.record.partition === "" ? [] : ["--partition", timeline.record.partition];
  const file = code?.file ?? (await moduleOf(memento, timeline));
  return {
    json: { timeline: key, name: made, forkedFrom: ground, head: entry.id, status: entry.status },
    text: () => {
      // The file may export several.
      const { originator } = timeline.record;
      const program = file === null ? "FILE" : path.relative(io.cwd, file);
      const next = ownCommand(invocation, "run", program, "--name", originator, "--fork", name, ...partition);
      const origin = timelineName(timeline.record);
      return [
        `Made the fork ${style.bold(made)} of ${ground}`,
        `head ${entry.id}`,
        `${style.yellow("Mind:")} it writes into the same places as ${origin}, unless its parameters or the pipeline's file name others.`,
        `Run it: ${next}`,
      ].join("\n");
    },
  };
}

/** The parameters that the fork changes, judged together with those that it keeps. */
async function changedParams(
  memento: Memento,
  pipeline: Pipeline,
  ground: string,
  texts: ParamTexts,
): Promise<Readonly<Record<string, unknown>>> {
  const run = (await (await memento.vault.load(ground)).value(PIECE.run)) as RunRecord | undefined;
  return await paramsFor(pipeline, texts, (run?.params ?? {}) as Record<string, unknown>);
}
