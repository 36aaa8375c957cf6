import { MementoError, type CopySelection, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { bytesPerSecond, collect } from "../option-values.ts";
import { caretakerNamed } from "../pipelines/caretakers.ts";
import { findLiveMemento } from "../pipelines/find-memento.ts";
import { chooseTimeline } from "../pipelines/timelines.ts";
import { KEYS_NOTE, openTransfer, type TransferOptions } from "../place/transfer-stores.ts";
import { copyText } from "../report/copy-text.ts";
import { ProgressLine } from "../terminal/progress-line.ts";

interface CopyCommandOptions extends TransferOptions {
  readonly caretaker?: string;
  readonly timeline?: readonly string[];
  readonly id?: readonly string[];
  readonly bandwidth?: number;
  readonly verify: boolean;
}

/** `memento copy --from URL --to URL`: everything that a store holds, into another one. */
export function registerCopy(program: Command, run: Runner): void {
  const command = program
    .command("copy")
    .summary("copy a store into another one, of any kind and with any keys")
    .description(
      "Copies everything that a store holds into another one: caretakers with policies and pins, timelines, every memento with its id, name and labels. Each body is opened and checked on the way. Stopped or killed, the same command goes on where it was.",
    )
    .requiredOption("--from <url>", "the store to read from")
    .requiredOption("--to <url>", "the store to write to; made where there is none")
    .option("--from-keys <keys>", "the keys of the store to read from")
    .option("--to-keys <keys>", "the keys of the store to write to")
    .option("--caretaker <name>", "only this caretaker")
    .option("--timeline <name>", "only this timeline, with what it needs; repeat for more", collect)
    .option("--id <memento>", "only this memento, with what it needs; repeat for more", collect)
    .option("--bandwidth <rate>", "read no more than that a second, for example 10MB", bytesPerSecond)
    .option("--no-verify", "do not read both stores again at the end to compare them")
    .action(async (options: CopyCommandOptions) => await run(async (invocation) => await copy(invocation, options)));
  addHelp(command, {
    notes: [
      `Pipelines go on in the new store where they stood; stop them in the old one first, or follow it with \`memento sync\`.
The digest at the end is over all live mementos and what they hold; it does not depend on engine or keys.`,
      KEYS_NOTE,
    ],
    examples: [
      ["memento copy --from sqlite:.memento/store.db --to postgres://db/memento", "move to a server"],
      ["memento copy --from s3://bucket/store --to file:here --to-keys new.key", "fetch it, under another key"],
      ["memento copy --from sqlite:a.db --to sqlite:b.db --timeline flights", "one pipeline"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function copy(invocation: Invocation, options: CopyCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  const startedMs = io.clock.monotonic();
  await using stores = await openTransfer(options, io, async (from) => await selectionOf(from, options));
  const { from, to, selection } = stores;
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the same command goes on where it was");
  const report = await from.copyTo(to, {
    selection,
    verify: options.verify ? "all" : "none",
    signal: stop.signal,
    ...(options.bandwidth === undefined ? {} : { bytesPerSecond: options.bandwidth }),
    onProgress: ({ mementos, total }) => line.update({ label: "copy", done: mementos, total, unit: "mementos" }),
  });
  const durationMs = io.clock.monotonic() - startedMs;
  return {
    json: { ...report, durationMs: Math.round(durationMs) },
    text: () => copyText(report, durationMs, style),
    exitCode: report.verified?.identical === false ? EXIT.failed : EXIT.done,
  };
}

async function selectionOf(from: Memento, { caretaker, timeline, id }: CopyCommandOptions): Promise<CopySelection> {
  if ([caretaker, timeline, id].filter((option) => option !== undefined).length > 1)
    throw new MementoError("INVALID_ARGUMENT", "--caretaker, --timeline and --id are three ways to choose; take one");
  if (caretaker !== undefined) return await caretakerNamed(from, caretaker);
  if (timeline !== undefined) {
    const chosen = await Promise.all(timeline.map(async (named) => await chooseTimeline(from, { named })));
    return { timelines: chosen.map(({ record }) => record.key) };
  }
  if (id === undefined) return {};
  return { mementos: await Promise.all(id.map(async (text) => await findLiveMemento(from, text))) };
}
