import type { CollectReport } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { demandCaretaker } from "../pipelines/caretakers.ts";
import { timelineNames } from "../pipelines/timelines.ts";
import { openMemento } from "../place/store-place.ts";
import { gcText } from "../report/gc-text.ts";

interface GcOptions {
  readonly dryRun?: boolean;
  readonly caretaker?: string;
  readonly compact?: boolean;
}

/** `memento gc`: removes what policies no longer keep, and frees space. */
export function registerGc(program: Command, run: Runner): void {
  const command = program
    .command("gc")
    .summary("remove what policies no longer keep, and free space")
    .description(
      "Removes the mementos that the policies of caretakers no longer keep, and frees the space of everything removed that nobody needs. Safe beside runs, saves and restores.",
    )
    .option("--dry-run", "say what would go and why; change nothing")
    .option("--caretaker <name>", "remove mementos of this caretaker only")
    .option("--compact", "give freed space back to the file system (SQLite; others wait meanwhile)")
    .action(async (options: GcOptions) => await run(async (invocation) => await gc(invocation, options)));
  addHelp(command, {
    examples: [
      ["memento policy etl --keep-last 10 --keep-daily 30", "what is to be kept"],
      ["memento gc --dry-run", "what would go"],
      ["memento gc", "let it go"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function gc(invocation: Invocation, { dryRun = false, caretaker, compact = false }: GcOptions): Promise<Outcome> {
  const { io, style } = invocation;
  await using memento = await openMemento(invocation);
  if (caretaker !== undefined) await demandCaretaker(memento, caretaker);
  const names = await timelineNames(memento);
  using stop = catchInterrupts(
    { io, note: (text) => invocation.note(text) },
    "it ends after this step; what was freed stays freed",
  );
  const report: CollectReport = await memento.collect({
    dryRun,
    compact,
    signal: stop.signal,
    ...(caretaker === undefined ? {} : { caretaker }),
  });
  return { json: report, text: () => gcText(report, names, style) };
}
