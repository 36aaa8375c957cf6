import type { PipelineCheck, UnreadableMemento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { loadPipeline } from "../pipelines/load-pipeline.ts";
import { enterProject, findStore, openAt } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { counted } from "../terminal/words.ts";

interface CheckCommandOptions {
  readonly name?: string;
}

/** How many mementos the text names; JSON has all. */
const NAMED_MAX = 20;

/** `memento check PIPELINE`: says which live mementos the code can restore. */
export function registerCheck(program: Command, run: Runner): void {
  const command = program
    .command("check")
    .summary("say which mementos changed code can restore")
    .description(
      "Reads every live memento of a pipeline as its code would to restore it: schema versions are really cast, and stages must fit unfinished runs. Changes nothing. For a pipeline of CI: it ends with 4 when there is one that the code cannot read.",
    )
    .argument("<file>", "a module (.ts, .js) that exports the pipeline")
    .option("--name <name>", "which pipeline, where FILE exports several")
    .action(
      async (file: string, options: CheckCommandOptions) =>
        await run(async (invocation) => await check(invocation, file, options)),
    );
  addHelp(command, {
    examples: [["memento check pipeline.ts --store postgres://db/mementos", "before new code goes to where that runs"]],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function check(invocation: Invocation, file: string, options: CheckCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  const place = findStore(invocation);
  enterProject(place, io);
  const { pipeline } = await loadPipeline(file, io.cwd, options);
  await using memento = await openAt(place, io);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the check ends here; nothing was changed");
  const found = await memento.check(pipeline, {
    signal: stop.signal,
    onProgress: (done) => line.update({ label: "check", done, total: null, unit: "mementos" }),
  });
  line.update(null);
  const { url } = memento.vault.store;
  return {
    json: { ...found, store: url },
    text: () => checkText(found, { style, url }),
    exitCode: found.unreadable.length === 0 ? EXIT.done : EXIT.refused,
  };
}

function checkText(
  { pipeline, version, mementos, timelines, adapted, unreadable }: PipelineCheck,
  { style, url }: { readonly style: Style; readonly url: string },
): string {
  const what = `${style.bold(pipeline)} version ${version}`;
  if (mementos === 0) return `${url} has no memento of ${style.bold(pipeline)}: nothing to check`;
  const read = `${counted(mementos, "live memento")} on ${counted(timelines, "timeline")}`;
  const casts = adapted === 0 ? "" : `\n${counted(adapted, "memento")} by casting values, or renaming stages`;
  if (unreadable.length === 0) return `${style.green("✓")} ${what} can restore all of ${read}${casts}`;
  const more = unreadable.length - NAMED_MAX;
  // What the next run would start from comes first.
  const ordered = unreadable.toSorted((a, b) => Number(b.isHead) - Number(a.isHead));
  const lines = ordered.slice(0, NAMED_MAX).flatMap((each) => unreadableText(each, style));
  const rest = more > 0 ? [`and ${counted(more, "other memento")} (--json has all)`] : [];
  const head = unreadable.some(({ isHead }) => isHead) ? " A head is among them: the next run would stop there." : "";
  return [
    `${style.red("✗")} ${what} cannot restore ${unreadable.length} of ${read}.${head}${casts}`,
    ...lines,
    ...rest,
  ].join("\n");
}

function unreadableText({ entry, partition, fork, isHead, problems }: UnreadableMemento, style: Style): string[] {
  const place = [...(partition === "" ? [] : [partition]), ...(fork === "" ? [] : [`fork ${fork}`])].join(", ");
  const title = `${style.bold(entry.id)}${isHead ? " (head)" : ""}${place === "" ? "" : ` on ${place}`}`;
  return [title, ...problems.map((problem) => `  ${problem}`)];
}
