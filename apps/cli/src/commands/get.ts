import { existsSync } from "node:fs";
import path from "node:path";

import { MementoError, type Memento, type MementoEntry } from "@mementojs/memento";
import { isStream } from "@mementojs/memento/store";
import type { Command } from "commander";

import { addHelp, TARGET_NOTE } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import { toJsonText } from "../json-text.ts";
import { findMemento } from "../pipelines/find-memento.ts";
import { alreadyThere, writeOutputFile } from "../place/output-file.ts";
import { openMemento } from "../place/store-place.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { bytesText } from "../terminal/words.ts";

interface GetOptions {
  readonly timeline?: string;
  readonly out?: string;
  readonly force?: true;
}

/** `memento get ID`: gives back what `put` or a script has saved. */
export function registerGet(program: Command, run: Runner): void {
  const command = program
    .command("get")
    .summary("get a saved file or state back")
    .description("Writes out what a memento holds: the bytes of a stream, or a state as JSON.")
    .argument("<memento>", "a TARGET")
    .option("--timeline <name>", "the timeline on which it is, where that is not clear")
    .option("--out <file>", "write to this file, wholly or not at all; - for standard output", "-")
    .option("--force", "overwrite the file")
    .action(
      async (target: string, options: GetOptions) =>
        await run(async (invocation) => await get(invocation, target, options)),
    );
  addHelp(command, {
    notes: [
      TARGET_NOTE,
      `To standard output each byte is checked before it is written, but damage further on ends the output early: look at the
exit code. A file appears only when all of it is right.`,
    ],
    examples: [
      ["memento get head --timeline backups/dump.tar --out dump.tar", "the newest of a file"],
      ["memento get config | jq .source", "a state by its name"],
    ],
    exitCodes: [EXIT.damaged, 130, 143],
  });
}

async function get(invocation: Invocation, target: string, options: GetOptions): Promise<Outcome> {
  const { out = "-", force = false } = options;
  await using memento = await openMemento(invocation);
  const file = out === "-" ? null : path.resolve(invocation.io.cwd, out);
  if (file !== null && !force && existsSync(file)) throw alreadyThere(file);
  const { entry } = await memento.vault.load(await findMemento(memento, target, options.timeline));
  if (isStream(entry)) return await getStream(invocation, memento, entry, file, force);
  if (entry.kind === "pipeline") {
    throw new MementoError("INVALID_ARGUMENT", `Memento ${entry.id} is of a pipeline, and holds no single state`, {
      hint: "See all that it holds by `memento show`.",
    });
  }
  return await getState(invocation, memento, entry, file, force);
}

async function getState(
  invocation: Invocation,
  memento: Memento,
  entry: MementoEntry,
  file: string | null,
  force: boolean,
): Promise<Outcome> {
  const state = await memento.caretaker(entry.caretaker).load(entry.id);
  const text = toJsonText(state);
  if (file === null) return { json: state, text: () => text };
  using stop = catchInterrupts(invocation, "no file is written");
  const content = function* (): Generator<Uint8Array> {
    yield Buffer.from(text, "utf8");
    stop.signal.throwIfAborted();
  };
  const bytes = await writeOutputFile(file, content(), force);
  return {
    json: { memento: entry, file, bytes },
    text: () => `Wrote ${invocation.style.bold(file)} (${bytesText(bytes)}).`,
  };
}

async function getStream(
  { io, json, style }: Invocation,
  memento: Memento,
  entry: MementoEntry,
  file: string | null,
  force: boolean,
): Promise<Outcome> {
  const stream = await memento.caretaker(entry.caretaker).openStream(entry.id);
  if (file === null) {
    if (json || io.out.writeBytes === undefined) {
      throw new MementoError("INVALID_ARGUMENT", `Memento ${entry.id} holds bytes, not a JSON document`, {
        hint: "Say --out FILE, or leave out --json.",
      });
    }
    for await (const bytes of stream) await io.out.writeBytes(bytes);
    return { json: null, text: () => "" };
  }
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "no file is written");
  const total = stream.bytes;
  const content = async function* (): AsyncGenerator<Uint8Array> {
    let done = 0;
    for await (const bytes of stream) {
      stop.signal.throwIfAborted();
      yield bytes;
      done += bytes.length;
      line.update({ label: "get", done, total, unit: "bytes" });
    }
    stop.signal.throwIfAborted();
  };
  const bytes = await writeOutputFile(file, content(), force);
  return {
    json: { memento: entry, file, bytes, sha256: stream.sha256 },
    text: () => `Wrote ${style.bold(file)} (${bytesText(bytes)}).`,
  };
}
