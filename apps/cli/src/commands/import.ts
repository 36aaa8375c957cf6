import { existsSync } from "node:fs";
import path from "node:path";

import {
  Memento,
  MementoError,
  verifyFile,
  type ArchiveInput,
  type ArchiveSummary,
  type ImportFromOptions,
  type ImportReport,
} from "@mementojs/memento";
import { resolveKeys, type KeySource } from "@mementojs/memento/vault";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import type { Io } from "../io.ts";
import { collect } from "../option-values.ts";
import { makeStore } from "../place/make-store.ts";
import { portableKeys, trustedSigners } from "../place/portable-keys.ts";
import { findStore, openAt, type StorePlace } from "../place/store-place.ts";
import { UnnamedFile } from "../place/unnamed-file.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { bytesText, counted } from "../terminal/words.ts";

interface ImportCommandOptions {
  readonly fork?: string;
  readonly keyFile?: string;
  readonly passphraseEnv?: string;
  readonly trust?: readonly string[];
  readonly dryRun?: true;
  readonly verifyOnly?: true;
}

/** `memento import FILE`: brings a portable file into the store, or only verifies it. */
export function registerImport(program: Command, run: Runner): void {
  const command = program
    .command("import")
    .summary("bring a portable file into the store")
    .description(
      "Brings a portable file into the store, which is made where there is none. The whole file is read and checked before anything is written; doing it again changes nothing.",
    )
    .argument("<file>", "the file; - for standard input")
    .option("--fork <name>", "import the memento, or the timeline's head, as a fork of this name")
    .option("--key-file <file>", "the file is sealed by the key in this one, not by the store's")
    .option("--passphrase-env <name>", "the file is sealed by the passphrase in this variable")
    .option("--trust <fingerprint>", "refuse other signers; a fingerprint or a file of them; repeat for more", collect)
    .option("--dry-run", "say what would be done, and change nothing")
    .option("--verify-only", "check the file, without any store")
    .action(
      async (file: string, options: ImportCommandOptions) =>
        await run(async (invocation) => await importFile(invocation, file, options)),
    );
  addHelp(command, {
    notes: [
      `A timeline comes with its ids as they were, and a later file of it goes on where the last one ended. A single memento
becomes a new one that names its origin: on its own timeline where that is free, else as a fork.`,
    ],
    examples: [
      ["memento import flights.memento --key-file theirs.key", "from another store, by its key"],
      ["memento import head.memento --fork try", "beside what is there"],
      ["memento import flights.memento --verify-only", "form, digest and signature; with the key everything inside"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function importFile(invocation: Invocation, file: string, options: ImportCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  const input = file === "-" ? standardInput(io) : path.resolve(io.cwd, file);
  const name = file === "-" ? "Standard input" : `The file ${file}`;
  const reading = { ...portableKeys(options, io), ...(await trustedSigners(options.trust, io)), name };
  if (options.verifyOnly === true) {
    const summary = await verifyFile(input, reading);
    return { json: summary, text: () => verifiedText(summary, name, style) };
  }
  const { fork, dryRun = false } = options;
  const place = findStore(invocation);
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "import again to go on");
  const importing = { ...reading, ...(fork === undefined ? {} : { fork }), signal: stop.signal };
  // What standard input gives is read twice where the store is still to be made.
  await using kept = place.exists || typeof input === "string" ? null : await UnnamedFile.of(input, stop.signal);
  const rehearsed = place.exists ? null : await rehearse(kept ?? input, place, io, importing);
  stop.signal.throwIfAborted();
  if (rehearsed !== null && dryRun)
    return { json: { ...rehearsed, storeUrl: place.url }, text: () => reportText(rehearsed, style) };
  await using memento = place.exists ? await openAt(place, io) : (await makeStore(place, io)).memento;
  const report = await memento.importFrom(kept ?? input, {
    ...importing,
    dryRun,
    onProgress: ({ mementos, total }) => line.update({ label: "import", done: mementos, total, unit: "mementos" }),
  });
  return { json: { ...report, storeUrl: memento.vault.store.url }, text: () => reportText(report, style) };
}

/** Reads and checks a whole file for a store that is not there yet, and makes nothing: only a file that can be imported is worth a store. */
async function rehearse(
  input: ArchiveInput,
  place: StorePlace,
  { env }: Pick<Io, "env">,
  importing: ImportFromOptions,
): Promise<ImportReport> {
  await using nowhere = await Memento.open("memory:");
  return await nowhere.importFrom(input, { ...(await keysToCome(place, env)), ...importing, dryRun: true });
}

/** The keys that a store will have once it is made; nothing where they will be made together with it. */
async function keysToCome(place: StorePlace, environment: Io["env"]): Promise<{ readonly keys?: KeySource }> {
  const beside = `${place.path ?? ""}.key`;
  const besideStore = existsSync(beside) ? beside : null;
  const keys = await resolveKeys(undefined, { environment, besideStore, mayCreate: false });
  return keys === null ? {} : { keys };
}

function standardInput({ input }: Io): AsyncIterable<Uint8Array> {
  if (input !== undefined) return input;
  throw new MementoError("INVALID_ARGUMENT", "There is no standard input here", { hint: "Name a file." });
}

function verifiedText(summary: ArchiveSummary, name: string, style: Style): string {
  const depth = summary.opened
    ? "every byte was read and checked"
    : "its form, digest and signature were checked; it is sealed, and no key was given to look inside";
  return [`${style.green("Sound:")} ${name}: ${depth}.`, contentText(summary)].join("\n");
}

function reportText(report: ImportReport, style: Style): string {
  const { dryRun, alreadyThere, made, timelines, imported } = report;
  const head = alreadyThere
    ? `Nothing to import: ${made === null ? "all of it is" : `it is ${style.bold(made)}`} there already.`
    : dryRun
      ? "Nothing was changed. It would be imported:"
      : `Imported ${counted(imported, "memento")}.`;
  const lines = timelines.map(({ name, head: newest, isNew, missing }) => {
    const what = missing === 0 ? "unchanged" : `${counted(missing, "memento")} ${dryRun ? "to come" : "appended"}`;
    return `  ${style.bold(name)}  ${isNew ? "new, " : ""}${what}${newest === null ? "" : `; head ${newest}`}`;
  });
  return [head, ...lines, contentText(report)].join("\n");
}

function contentText({ content, mementos, bytes, stateBytes, created, signer }: ArchiveSummary): string {
  const many = content === "memento" ? "" : ` of ${counted(mementos, "memento")}`;
  const sizes = `${bytesText(bytes)}; the state is ${bytesText(stateBytes)}`;
  return `One ${content}${many} (${sizes}), exported ${created}\nSigned by ${signer}`;
}
