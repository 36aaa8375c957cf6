import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";

import { listBackup, MementoError, type BackupListing, type ExportReport, type Memento } from "@mementojs/memento";
import type { Command } from "commander";

import { addHelp } from "../command-help.ts";
import { EXIT } from "../exit-code.ts";
import { catchInterrupts } from "../interrupts.ts";
import type { Invocation, Outcome, Runner } from "../invocation.ts";
import type { Io } from "../io.ts";
import { bytesPerSecond } from "../option-values.ts";
import { portableKeys, type PortableKeyOptions } from "../place/portable-keys.ts";
import { KEYS_NOTE, namedKeys, openNamed, openTransfer } from "../place/transfer-stores.ts";
import { copyText } from "../report/copy-text.ts";
import { ProgressLine } from "../terminal/progress-line.ts";
import type { Style } from "../terminal/style.ts";
import { renderTable, type Column } from "../terminal/table.ts";
import { bytesText, counted, grouped } from "../terminal/words.ts";

interface BackupCommandOptions extends PortableKeyOptions {
  readonly fromKeys?: string;
  readonly toKeys?: string;
  readonly withKeys?: true;
  readonly bandwidth?: number;
  readonly list?: true;
  readonly force?: true;
}

/** `memento backup URL FILE|FOLDER|URL`: a whole store as one file, or brought up to date in another store. */
export function registerBackup(program: Command, run: Runner): void {
  const command = program
    .command("backup")
    .summary("write a whole store to one file, or into a store of backups")
    .description(
      "Writes everything that a store holds to one portable file, compressed, sealed and signed, and reads it again from beginning to end. Into another store, given by its URL, only what is new is copied.",
    )
    .argument("<store>", "the store's URL; with --list, the backup's file")
    .argument("[place]", "the file to write, a folder that is there, or the URL of a store")
    .option("--key-file <file>", "seal the file by the key in this one instead of the store's")
    .option("--passphrase-env <name>", "seal the file by the passphrase in this variable")
    .option("--plain", "do not seal the file: everybody can read it")
    .option("--with-keys", "bring the store's key file along, under --passphrase-env")
    .option("--from-keys <keys>", "the keys of the store")
    .option("--to-keys <keys>", "the keys of the store of backups")
    .option("--bandwidth <rate>", "into a store: read no more than that a second, for example 10MB", bytesPerSecond)
    .option("--force", "overwrite the file")
    .option("--list", "check a backup, and say what it holds")
    .action(
      async (store: string, place: string | undefined, options: BackupCommandOptions) =>
        await run(async (invocation) =>
          options.list === true
            ? await list(invocation, store, options)
            : await backup(invocation, store, place, options),
        ),
    );
  addHelp(command, {
    notes: [
      `Keys are not in a file unless --with-keys says so: a backup that is sealed by the store's key opens with that key alone.
A store of backups is brought up to date as by \`memento sync\`; nothing is removed there.`,
      KEYS_NOTE,
    ],
    examples: [
      ["memento backup sqlite:.memento/store.db backups", "a file with the date in its name, in that folder"],
      ["memento backup postgres://db/memento all.memento --passphrase-env PASS --with-keys", "all that it takes"],
      ["memento backup postgres://db/memento s3://backups/memento", "what came since the last time"],
      ["memento backup --list all.memento --passphrase-env PASS", "what is in it"],
    ],
    exitCodes: [EXIT.damaged, EXIT.refused, 130, 143],
  });
}

async function backup(
  invocation: Invocation,
  store: string,
  place: string | undefined,
  options: BackupCommandOptions,
): Promise<Outcome> {
  if (place === undefined)
    throw new MementoError("INVALID_ARGUMENT", "Say where the backup goes: a file, a folder, or the URL of a store");
  if (/^[a-z][a-z0-9+.-]+:/u.test(place)) return await intoStore(invocation, store, place, options);
  return await intoFile(invocation, store, place, options);
}

async function intoStore(
  { io, style }: Invocation,
  store: string,
  place: string,
  { fromKeys, toKeys, bandwidth, ...options }: BackupCommandOptions,
): Promise<Outcome> {
  if ([options.plain, options.keyFile, options.passphraseEnv, options.withKeys, options.force].some(isGiven))
    throw new MementoError(
      "INVALID_ARGUMENT",
      "--plain, --key-file, --passphrase-env, --with-keys and --force are for files",
    );
  const startedMs = io.clock.monotonic();
  await using stores = await openTransfer(
    {
      from: store,
      to: place,
      ...(fromKeys === undefined ? {} : { fromKeys }),
      ...(toKeys === undefined ? {} : { toKeys }),
    },
    io,
  );
  using line = new ProgressLine(io);
  using stop = catchInterrupts({ io, note: (text) => line.note(text) }, "the same command goes on where it was");
  const report = await stores.from.syncTo(stores.to, {
    signal: stop.signal,
    ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth }),
    onProgress: ({ mementos, total }) => line.update({ label: "backup", done: mementos, total, unit: "mementos" }),
  });
  const durationMs = io.clock.monotonic() - startedMs;
  return {
    json: { ...report, durationMs: Math.round(durationMs) },
    text: () => copyText(report, durationMs, style),
    exitCode: report.verified?.identical === false ? EXIT.failed : EXIT.done,
  };
}

const isGiven = (option: unknown): boolean => option !== undefined;

async function intoFile(
  invocation: Invocation,
  store: string,
  place: string,
  options: BackupCommandOptions,
): Promise<Outcome> {
  const { io, style } = invocation;
  if (options.bandwidth !== undefined || options.toKeys !== undefined)
    throw new MementoError(
      "INVALID_ARGUMENT",
      "--bandwidth and --to-keys are for a store of backups, given by its URL",
    );
  const keys = portableKeys(options, io);
  await using memento = await openNamed(store, "the first argument", options.fromKeys, io);
  const keyText = options.withKeys === true ? await keyTextOf(memento, options) : null;
  const file = fileOf(path.resolve(io.cwd, place), new Date(io.clock.now()).toISOString());
  using line = new ProgressLine(io);
  const progress = { io, note: (text: string) => line.note(text) };
  const write = async (): Promise<ExportReport> => {
    using stop = catchInterrupts(progress, "no file is written");
    return await memento.exportTo(
      file,
      { store: true },
      {
        ...keys,
        ...(keyText === null ? {} : { keyText }),
        replace: options.force ?? false,
        signal: stop.signal,
        onProgress: ({ mementos, total }) => line.update({ label: "backup", done: mementos, total, unit: "mementos" }),
      },
    );
  };
  const report = await write();
  using stop = catchInterrupts(progress, "the file stays, and was not read again to its end");
  line.update({ label: "read it again", done: 0, total: null, unit: "mementos" });
  const listing = await listBackup(file, { keys: memento.vault.ring ?? false, ...keys, signal: stop.signal });
  return {
    json: { ...report, file, digest: listing.digest, withKeys: keyText !== null },
    text: () => reportText({ report, listing, file, withKeys: keyText !== null }, style),
  };
}

/** A folder that is there gets a file of its own. */
function fileOf(place: string, now: string): string {
  const isFolder = existsSync(place) && statSync(place).isDirectory();
  return isFolder ? path.join(place, `memento-${now.replaceAll(/[:.]/gu, "-")}.memento`) : place;
}

/** The text of the key file that wraps the store's own keys. */
async function keyTextOf(memento: Memento, { passphraseEnv }: BackupCommandOptions): Promise<string> {
  if (passphraseEnv === undefined)
    throw new MementoError(
      "INVALID_ARGUMENT",
      "--with-keys needs a passphrase: keys are never written down beside what they open",
      {
        hint: "Put one into a variable, and name it by --passphrase-env.",
      },
    );
  const file = memento.vault.ring?.keys?.()[0]?.file;
  if (file !== undefined) return await readFile(file, "utf8");
  throw new MementoError("INVALID_ARGUMENT", "The store's keys are in no key file, so none can be brought along", {
    hint: "Leave --with-keys out, and keep the keys where they are kept now.",
  });
}

async function list(invocation: Invocation, file: string, options: BackupCommandOptions): Promise<Outcome> {
  const { io, style } = invocation;
  const listing = await listBackup(path.resolve(io.cwd, file), {
    ...backupKeys(options, io),
    name: `The file ${file}`,
  });
  const { keys, ...shown } = listing;
  return {
    // The keys themselves are for nobody's screen.
    json: { ...shown, withKeys: keys !== null },
    text: () => listingText(listing, file, style),
  };
}

/** The keys that open a backup: those that are named for it, else those that the environment names. */
export function backupKeys(
  options: PortableKeyOptions & { readonly fromKeys?: string },
  io: Pick<Io, "cwd" | "env">,
): ReturnType<typeof namedKeys> {
  const named = { ...namedKeys(options.fromKeys, "--from-keys", io), ...portableKeys(options, io) };
  if (named.keys !== undefined) return named;
  const file = io.env["MEMENTO_KEY_FILE"] ?? "";
  if (file !== "") return { keys: { file } };
  if ((io.env["MEMENTO_KEY"] ?? "") !== "") return namedKeys("key:MEMENTO_KEY", "--from-keys", io);
  return (io.env["MEMENTO_PASSPHRASE"] ?? "") === ""
    ? {}
    : namedKeys("passphrase:MEMENTO_PASSPHRASE", "--from-keys", io);
}

interface Written {
  readonly report: ExportReport;
  readonly listing: BackupListing;
  readonly file: string;
  readonly withKeys: boolean;
}

function reportText({ report, listing, file, withKeys }: Written, style: Style): string {
  const { mementos, timelines, bytes, sealed, signer } = report;
  return [
    `Wrote ${style.bold(file)}: ${counted(mementos, "memento")} on ${counted(timelines, "timeline")} (${bytesText(bytes)}).`,
    sealed
      ? `It is sealed${withKeys ? ", and brings the store's keys along" : ""}.`
      : "It is not sealed: everybody can read it.",
    `${style.green("Verified:")} it was read again, and gives the digest ${style.bold(listing.digest)}.`,
    `Signed by ${signer}`,
  ].join("\n");
}

const COLUMNS: readonly Column[] = [{ head: "timeline" }, { head: "mementos", align: "right" }, { head: "head" }];

function listingText(
  { summary, digest, keys, caretakers, timelines }: BackupListing,
  file: string,
  style: Style,
): string {
  const rows = timelines.map(({ name, mementos, head }) => [style.bold(name), grouped(mementos), head ?? "-"]);
  return [
    `${style.green("Sound:")} ${file}: ${counted(summary.mementos, "memento")} of ${counted(caretakers.length, "caretaker")} (${bytesText(summary.bytes)}), made ${summary.created}.`,
    ...(rows.length === 0 ? [] : [renderTable(COLUMNS, rows, style, null)]),
    keys === null ? "It brings no keys." : "It brings the store's keys.",
    `Digest ${digest}`,
    `Signed by ${summary.signer}`,
  ].join("\n");
}
