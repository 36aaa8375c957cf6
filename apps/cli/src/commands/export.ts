import path from "node:path";

import { MementoError, type ExportReport, type ExportSubject, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import type { Output } from "../io.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { chooseTimeline } from "../pipelines/timelines.ts";
import { portableKeys, type PortableKeyOptions } from "../place/portable-keys.ts";
import { openMemento } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { bytesText, counted } from "../terminal/words.ts";

interface ExportCommandOptions extends PortableKeyOptions {
  readonly timeline?: string;
  readonly caretaker?: string;
  readonly out: string;
  readonly force?: true;
}

/** `memento export`: a memento, a timeline or a caretaker as one portable file. */
export function registerExport(program: Command, run: Runner): void {
  const command = program
    .command("export")
    .summary("write a memento, a timeline or a caretaker to one file")
    .description(
      "Writes a portable file: self-contained, compressed, sealed and signed. It can be verified without the store, and imported into any other.",
    )
    .argument("[target]", "the memento; without one, the whole timeline or caretaker is exported")
    .option("--timeline <name>", "the timeline: whole, or that of the target")
    .option("--caretaker <name>", "a whole caretaker: all its timelines, and its policy")
    .option("--key-file <file>", "seal it by the key in this file instead of the store's")
    .option("--passphrase-env <name>", "seal it by the passphrase in this variable")
    .option("--plain", "do not seal it: everybody can read it")
    .requiredOption("--out <file>", "the file to write, wholly or not at all; - for standard output")
    .option("--force", "overwrite the file")
    .action(
      async (target: string | undefined, options: ExportCommandOptions) =>
        await run(async (invocation) => await exportFile(invocation, target, options)),
    );
  addHelp(command, {
    notes: [
      TARGET_NOTE,
      `A sealed file opens with the key of the store that it comes from, or with that of --key-file. A sealed store always
signs with the same key of its own: compare the fingerprint with what \`memento import\` shows.`,
    ],
    examples: [
      ["memento export --timeline flights --out flights.memento", "a pipeline's whole history"],
      ["memento export head --timeline flights --out head.memento", "one memento, which goes on elsewhere"],
      ["memento export --caretaker etl --out - | ssh host memento import -", "a caretaker to another machine"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function exportFile(
  invocation: Invocation,
  target: string | undefined,
  options: ExportCommandOptions,
): Promise<Outcome> {
  const { io, style, json } = invocation;
  const keys = portableKeys(options, io);
  await using memento = await openMemento(invocation);
  const subject = await subjectOf(memento, target, options);
  const isStream = options.out === "-";
  if (isStream && json)
    throw new MementoError("INVALID_ARGUMENT", "Standard output cannot be the file and a JSON document at once");
  const file = path.resolve(io.cwd, options.out);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "no file is written");
  const report = await memento.exportTo(isStream ? standardOutput(io.out) : file, subject, {
    ...keys,
    replace: options.force ?? false,
    signal: stop.signal,
    onProgress: ({ mementos, total }) => line.update({ label: "export", done: mementos, total, unit: "mementos" }),
  });
  if (isStream) {
    line.update(null);
    invocation.note(reportText(report, null, style));
    return { json: null, text: () => "" };
  }
  return { json: { ...report, file }, text: () => reportText(report, file, style) };
}

async function subjectOf(
  memento: Memento,
  target: string | undefined,
  { timeline, caretaker }: ExportCommandOptions,
): Promise<ExportSubject> {
  if (caretaker !== undefined) {
    if (target === undefined && timeline === undefined) return { caretaker };
    throw new MementoError("INVALID_ARGUMENT", "--caretaker exports all of it: leave out the target and --timeline");
  }
  if (target !== undefined) return { memento: await findMemento(memento, target, timeline) };
  return { timeline: (await chooseTimeline(memento, { named: timeline })).record.key };
}

function standardOutput(out: Output): (bytes: Uint8Array) => Promise<void> {
  if (out.writeBytes === undefined || out.isTerminal) {
    throw new MementoError("INVALID_ARGUMENT", "A portable file is not written to a terminal", {
      hint: "Say --out FILE, or pipe it on.",
    });
  }
  return async (bytes) => await out.writeBytes?.(bytes);
}

function reportText(report: ExportReport, file: string | null, style: Style): string {
  const { content, mementos, timelines, bytes, stateBytes, sealed, signer } = report;
  const many = content === "memento" ? "" : `, ${counted(mementos, "memento")}`;
  const lines = timelines > 1 ? ` on ${counted(timelines, "timeline")}` : "";
  const state = `${bytesText(bytes)}; the state is ${bytesText(stateBytes)}`;
  const place = file === null ? "the file" : style.bold(file);
  return [
    `Wrote ${place}: one ${content}${many}${lines} (${state}).`,
    sealed ? "It is sealed." : style.yellow("It is not sealed: everybody can read it."),
    `Signed by ${signer}`,
  ].join("\n");
}
