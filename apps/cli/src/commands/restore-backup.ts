import { existsSync } from "node:fs";
import path from "node:path";

import {
  isMementoError,
  listBackup,
  Memento,
  MementoError,
  type BackupListing,
  type MementoOptions,
  type RestoredBackup,
} from "@mementojs/memento";
import { writeKeyFile, type KeySource } from "@mementojs/memento/vault";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import type { Io } from "../io.ts";
import { collect } from "../option-values.ts";
import { askingFor } from "../place/key-options.ts";
import { trustedSigners, type PortableKeyOptions } from "../place/portable-keys.ts";
import { namedPlace, type StorePlace } from "../place/store-place.ts";
import { KEYS_NOTE, namedKeys } from "../place/transfer-stores.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { counted, listText } from "../terminal/words.ts";
import { backupKeys } from "./backup.ts";

interface RestoreCommandOptions extends PortableKeyOptions {
  readonly toKeys?: string;
  readonly trust?: readonly string[];
}

/** `memento restore-backup FILE URL`: a whole store, from the file that `memento backup` has written. */
export function registerRestoreBackup(program: Command, run: Runner): void {
  const command = program
    .command("restore-backup")
    .summary("bring a backup into a store")
    .description(
      "Brings everything that a backup holds into a store, which is made where there is none. The whole file is read and checked before anything is written, and the store is read again at the end and compared with it. Doing it again changes nothing.",
    )
    .argument("<file>", "the backup")
    .argument("<store>", "the URL of the store")
    .option("--key-file <file>", "the backup is sealed by the key in this file")
    .option("--passphrase-env <name>", "the backup is sealed by the passphrase in this variable")
    .option("--to-keys <keys>", "the keys of the store")
    .option("--trust <fingerprint>", "refuse other signers; a fingerprint or a file of them; repeat for more", collect)
    .action(
      async (file: string, store: string, options: RestoreCommandOptions) =>
        await run(async (invocation) => await restore(invocation, file, store, options)),
    );
  addHelp(command, {
    notes: [
      `A backup that brings its keys along (\`memento backup --with-keys\`) puts them beside a new store of this machine, where
none are named; a new store gets keys of its own otherwise.`,
      KEYS_NOTE,
    ],
    examples: [
      [
        "memento restore-backup all.memento sqlite:store.db --key-file old.key",
        "by the key of the store that it is of",
      ],
      ["memento restore-backup all.memento postgres://db/new --passphrase-env PASS", "to a server"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function restore(
  invocation: Invocation,
  file: string,
  store: string,
  options: RestoreCommandOptions,
): Promise<Outcome> {
  const { io, style } = invocation;
  const input = path.resolve(io.cwd, file);
  const reading = {
    ...backupKeys(options, io),
    ...(await trustedSigners(options.trust, io)),
    name: `The file ${file}`,
  };
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the same command goes on where it was");
  line.update({ label: "check the file", done: 0, total: null, unit: "mementos" });
  // Only a file that can be restored is worth a store.
  const listing = await listBackup(input, { ...reading, signal: stop.signal });
  if (listing.summary.content !== "store")
    throw new MementoError(
      "INVALID_ARGUMENT",
      `The file ${file} holds a ${listing.summary.content}, and is no backup`,
      {
        hint: "Bring it in by `memento import`.",
      },
    );
  const place = namedPlace(store, "option", io.cwd);
  const keyFile = keyFileFor(listing, place, options, io);
  const named =
    keyFile === null ? namedKeys(options.toKeys, "--to-keys", io) : { keys: placedKeys(keyFile, listing.keys ?? "") };
  await using memento = await askingFor(
    "--to-keys",
    async () => await openOrMake(place, { environment: io.env, ...named }, listing.summary.sealed),
  );
  const report = await memento.restoreBackup(input, {
    ...reading,
    signal: stop.signal,
    onProgress: ({ mementos, total }) => line.update({ label: "restore", done: mementos, total, unit: "mementos" }),
  });
  const { url } = memento.vault.store;
  return {
    json: { ...report, storeUrl: url, keyFile },
    text: () => restoredText(report, { url, keyFile }, style),
    exitCode: report.verified?.identical === false ? EXIT.failed : EXIT.done,
  };
}

/** A sealed backup never becomes a store without a seal unless that was asked for: a server has no key file beside it. */
async function openOrMake(place: StorePlace, options: MementoOptions, sealed: boolean): Promise<Memento> {
  const isKeyless = options.keys === undefined && !hasKeysInEnvironment(options.environment ?? {});
  if (place.path !== null || !isKeyless || !sealed || place.url.startsWith("memory:"))
    return await Memento.open(place.url, options);
  try {
    return await Memento.open(place.url, { ...options, create: false });
  } catch (error) {
    if (!isMementoError(error, "NOT_A_STORE")) throw error;
    throw new MementoError("KEY_MISSING", "The backup is sealed, and no key was named for the new store", {
      hint: "Name one by --to-keys KEYS, or say --to-keys none.",
      cause: error,
    });
  }
}

const VARIABLES = ["MEMENTO_KEY", "MEMENTO_KEY_FILE", "MEMENTO_KEY_URL", "MEMENTO_PASSPHRASE"];

const hasKeysInEnvironment = (env: Io["env"]): boolean => VARIABLES.some((name) => (env[name] ?? "") !== "");

/** Where the keys of a backup belong, beside a new store; null where they are not needed. Never a file that is there. */
function keyFileFor(
  { keys }: BackupListing,
  place: StorePlace,
  { toKeys }: RestoreCommandOptions,
  { env }: Pick<Io, "env">,
): string | null {
  const isNamed = toKeys !== undefined || hasKeysInEnvironment(env);
  if (keys === null || isNamed || place.path === null || place.exists) return null;
  const file = `${place.path}.key`;
  return existsSync(file) ? null : file;
}

/** Keys that are put into their file when the store is made: a place that cannot take it gets no key either. */
function placedKeys(file: string, text: string): KeySource {
  return async () => {
    await writeKeyFile(file, text);
    return { file };
  };
}

function restoredText(
  { imported, alreadyThere, verified, timelines }: RestoredBackup,
  { url, keyFile }: { readonly url: string; readonly keyFile: string | null },
  style: Style,
): string {
  const head = alreadyThere
    ? `Nothing to restore: ${style.bold(url)} has all of it already.`
    : `Restored ${counted(imported, "memento")} on ${counted(timelines.length, "timeline")} into ${style.bold(url)}.`;
  const lines = keyFile === null ? [head] : [head, `Its keys are in ${keyFile}: keep a copy elsewhere.`];
  if (verified === null) return lines.join("\n");
  const same = verified.identical
    ? `${style.green("Verified:")} the store gives the digest of the backup, ${style.bold(verified.digest)}.`
    : `${style.red("Not the same:")} other digests for ${listText(verified.differing.slice(0, 10))}; ${counted(verified.missing, "memento")} were removed there on its own.`;
  return [...lines, same].join("\n");
}
