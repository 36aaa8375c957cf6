import type { Writable } from "node:stream";

import { settingsFromText } from "./caretaker/caretaker-record.ts";
import { MementoError } from "./core/errors.ts";
import { staysBehindFork } from "./orchestrator/repair/fork.ts";
import type {
  ArchiveInput,
  ArchiveSummary,
  ByteSink,
  ExportOptions,
  ExportReport,
  ExportSubject,
  ImportOptions,
  ImportReport,
  ImportRules,
} from "./vault/archive/index.ts";
import type { KeyRing } from "./vault/keys/key-ring.ts";
import { resolveKeys, type KeySource } from "./vault/keys/resolve-keys.ts";
import { evenIfRemoved } from "./vault/removed-meanwhile.ts";
import type { BackupListing, RestoreBackupOptions, RestoredBackup } from "./vault/transfer/index.ts";
import type { Vault } from "./vault/vault.ts";

/** How to export to a file. */
export interface ExportToOptions extends Omit<ExportOptions, "keys"> {
  /** The keys that seal the file. Default: those of the store. `false` leaves it open for everybody to read. */
  readonly keys?: KeySource;
  /** True: a file that is there already is replaced. Default false. */
  readonly replace?: boolean;
}

/** How to import from a file. */
export interface ImportFromOptions extends Omit<ImportOptions, "keys"> {
  /** The keys that open the file. Default: those of the store. */
  readonly keys?: KeySource;
}

/** How to restore the backup of a whole store. */
export interface RestoreFromOptions extends Omit<RestoreBackupOptions, "keys"> {
  /** The keys that open the backup. Default: those of the store. */
  readonly keys?: KeySource;
}

/** How to verify a file. */
export interface VerifyFileOptions extends Pick<ImportOptions, "trust" | "name" | "signal"> {
  /** The keys that open the file; without them a sealed one is checked from outside: form, digest, signature. */
  readonly keys?: KeySource;
}

/** Where a portable file goes: a path, a stream, which is left open, or a function that takes its bytes one after the other. */
export type ExportDestination = string | Writable | ByteSink;

/** Writes a portable file; at a path it is there whole or not at all. */
export async function exportTo(
  vault: Vault,
  destination: ExportDestination,
  subject: ExportSubject,
  { keys, replace = false, ...options }: ExportToOptions,
): Promise<ExportReport> {
  const { exportArchive, writeWholeFile } = await import("./vault/archive/index.ts");
  const ring = keys === undefined ? vault.ring : await ringOf(keys);
  const write = async (out: ByteSink): Promise<ExportReport> =>
    await exportArchive(vault, out, subject, { ...options, keys: ring });
  if (typeof destination === "function") return await write(destination);
  if (typeof destination !== "string") return await write(sinkOf(destination));
  // What was written elsewhere cannot be taken back; a file is begun anew.
  return await evenIfRemoved(async () => await writeWholeFile(destination, { replace, random: vault.random }, write));
}

const IMPORT_RULES: ImportRules = { staysBehind: staysBehindFork, demandSettings: settingsFromText };

/** Brings a portable file into a store. */
export async function importFrom(
  vault: Vault,
  input: ArchiveInput,
  { keys, ...options }: ImportFromOptions,
): Promise<ImportReport> {
  const { importArchive } = await import("./vault/archive/index.ts");
  const ring = keys === undefined ? vault.ring : await ringOf(keys);
  return await importArchive(vault, input, { ...options, keys: ring }, IMPORT_RULES);
}

/** Reads a portable file to its end and checks all of it, without any store. DAMAGED, FORMAT_UNKNOWN, KEY_WRONG, SIGNER_UNTRUSTED, INPUT_MISSING. */
export async function verifyFile(input: ArchiveInput, options: VerifyFileOptions = {}): Promise<ArchiveSummary> {
  const { verifyArchive } = await import("./vault/archive/index.ts");
  const { keys, ...others } = options;
  return await verifyArchive(input, { ...others, keys: keys === undefined ? null : await ringOf(keys) });
}

/** Brings the backup of a whole store into a store. */
export async function restoreBackupOf(
  vault: Vault,
  input: ArchiveInput,
  { keys, ...options }: RestoreFromOptions,
): Promise<RestoredBackup> {
  const { restoreBackup } = await import("./vault/transfer/index.ts");
  const ring = keys === undefined ? vault.ring : await ringOf(keys);
  return await restoreBackup(vault, input, { ...options, keys: ring }, IMPORT_RULES);
}

/** Reads a backup to its end, checks all of it, and says what it holds; see `BackupListing`. What `verifyFile` raises, and KEY_MISSING. */
export async function listBackup(input: ArchiveInput, options: VerifyFileOptions = {}): Promise<BackupListing> {
  const { listBackup: list } = await import("./vault/transfer/index.ts");
  const { keys, ...others } = options;
  return await list(input, { ...others, keys: keys === undefined ? null : await ringOf(keys) });
}

async function ringOf(keys: KeySource): Promise<KeyRing | null> {
  return await resolveKeys(keys, { environment: process.env, besideStore: null, mayCreate: false });
}

/** Each piece is waited for, so that memory stays flat. */
function sinkOf(stream: Writable): ByteSink {
  return async (bytes) =>
    await new Promise((resolve, reject) => {
      stream.write(bytes, (cause) => {
        if (cause === null || cause === undefined) resolve();
        else reject(new MementoError("IO_FAILED", "The stream does not take the portable file", { cause }));
      });
    });
}
