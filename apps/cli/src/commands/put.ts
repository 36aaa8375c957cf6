import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";

import { isMementoError, MementoError, type Caretaker, type MementoInfo } from "@mementojs/memento";
import { systemCode, unreadableFile, type Json } from "@mementojs/memento/core";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import type { Io } from "../io.ts";
import { collectPairs, collectValues } from "../option-values.ts";
import { openMemento } from "../place/store-place.ts";
import { parseState } from "../state-json.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import { bytesText } from "../terminal/words.ts";

interface PutOptions {
  readonly caretaker: string;
  readonly id?: string;
  readonly replace?: true;
  readonly originator?: string;
  readonly state?: true;
  readonly label?: Readonly<Record<string, string>>;
  readonly meta?: Readonly<Record<string, Json>>;
  readonly description?: string;
}

/** `memento put FILE`: saves a file's bytes, or a state that is written in it. */
export function registerPut(program: Command, run: Runner): void {
  const command = program
    .command("put")
    .summary("save a file, or a state as JSON")
    .description(
      "Saves the bytes of a file of any size as a memento. What the one before it of the same originator has is not written again.",
    )
    .argument("<file>", "the file; - for standard input")
    .requiredOption("--caretaker <name>", "the caretaker that keeps it")
    .option("--id <name>", "a name of your own")
    .option("--replace", "move the name here from the memento that has it")
    .option("--originator <name>", "what the bytes are of (default: the file's name)")
    .option("--state", "the file is JSON, and its value is saved as a state")
    .option("--label <name=value>", "a label, in clear text; repeat for more", collectPairs)
    .option("--meta <path=value>", "metadata, sealed; repeat for more", collectValues)
    .option("--description <text>", "a description, sealed")
    .action(
      async (file: string, options: PutOptions) =>
        await run(async (invocation) => await put(invocation, file, options)),
    );
  addHelp(command, {
    examples: [
      ["memento put dump.tar --caretaker backups", "a file, whatever its size"],
      ["pg_dump app | memento put - --caretaker backups --originator app", "what a program writes"],
      ["memento put config.json --state --caretaker etl --id config", "a state, for load() and memento get"],
    ],
    exitCodes: [EXIT.damaged, 130, 143],
  });
}

async function put(invocation: Invocation, file: string, options: PutOptions): Promise<Outcome> {
  await using memento = await openMemento(invocation);
  const caretaker = memento.caretaker(options.caretaker);
  const before = await holderOf(caretaker, options);
  const info =
    options.state === true
      ? await putState(invocation, caretaker, file, options)
      : await putStream(invocation, caretaker, file, options);
  demandAsGiven(info, options);
  const { style } = invocation;
  const alreadyThere = before === info.id;
  return {
    json: { memento: info, alreadyThere },
    text: () => {
      const named = `${style.bold(info.id)}${info.name === undefined ? "" : ` as ${info.name}`}`;
      if (alreadyThere) return `Nothing to save: it is there already, ${named}.`;
      return `Saved ${named} (${bytesText(info.sizes.logicalBytes)}).`;
    },
  };
}

/** The id of the memento that has the wanted name; null where it is free, or is to move. */
async function holderOf(caretaker: Caretaker, { id, replace }: PutOptions): Promise<string | null> {
  if (id === undefined || replace === true) return null;
  try {
    return (await caretaker.info(id)).id;
  } catch (error) {
    if (isMementoError(error, "NOT_FOUND")) return null;
    throw error;
  }
}

/** The same content under its name is not saved again, and then nothing else that was given is kept either. EXISTS. */
function demandAsGiven(info: MementoInfo, { label, meta, description, originator }: PutOptions): void {
  const facts: readonly (readonly [name: string, given: unknown, kept: unknown])[] = [
    ["labels", label, info.labels],
    ["metadata", meta, info.metadata],
    ["description", description, info.description],
    ["originator", originator, info.originator],
  ];
  const others = facts.filter(
    ([, given, kept]) => given !== undefined && !isDeepStrictEqual(structuredClone(given), structuredClone(kept)),
  );
  if (others.length === 0) return;
  const names = others.map(([name]) => name).join(", ");
  const message = `Memento ${info.id}, named ${info.name ?? ""}, has this content already, with other ${names}`;
  throw new MementoError("EXISTS", message, {
    hint: "Say --replace to save it anew and move the name there, or choose another --id.",
    details: { id: info.id },
  });
}

async function putStream(
  invocation: Invocation,
  caretaker: Caretaker,
  file: string,
  options: PutOptions,
): Promise<MementoInfo> {
  const { io } = invocation;
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "nothing of the file is kept");
  const total = file === "-" ? null : await sizeOf(path.resolve(io.cwd, file));
  return await caretaker.saveStream(file === "-" ? standardInput(io) : path.resolve(io.cwd, file), {
    ...savedAs(options, file),
    signal: stop.signal,
    onProgress: ({ bytes }) => line.update({ label: "put", done: bytes, total, unit: "bytes" }),
  });
}

async function putState(
  { io }: Invocation,
  caretaker: Caretaker,
  file: string,
  options: PutOptions,
): Promise<MementoInfo> {
  const bytes =
    file === "-"
      ? Buffer.concat(await Array.fromAsync(standardInput(io)))
      : await readBytes(path.resolve(io.cwd, file));
  const state = parseState(bytes, file === "-" ? "Standard input" : file);
  return await caretaker.save(state, savedAs(options, file));
}

function savedAs({ id, replace, originator, state, label, meta, description }: PutOptions, file: string) {
  const own = originator ?? (file === "-" || state === true ? undefined : path.basename(file));
  return {
    ...(id === undefined ? {} : { id }),
    ...(replace === undefined ? {} : { replace }),
    ...(own === undefined ? {} : { originator: own }),
    ...(label === undefined ? {} : { labels: label }),
    ...(meta === undefined ? {} : { metadata: meta }),
    ...(description === undefined ? {} : { description }),
  };
}

async function sizeOf(file: string): Promise<number | null> {
  try {
    const facts = await stat(file);
    return facts.isFile() ? facts.size : null;
  } catch (error) {
    // Whoever opens it says what is wrong with it.
    if (systemCode(error) === undefined) throw error;
    return null;
  }
}

async function readBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw unreadableFile(file, cause);
  }
}

function standardInput({ input }: Io): AsyncIterable<Uint8Array> {
  if (input !== undefined) return input;
  throw new MementoError("INVALID_ARGUMENT", "There is no standard input here", { hint: "Name a file." });
}
