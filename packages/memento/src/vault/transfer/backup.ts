import { MementoError } from "../../core/errors.ts";
import { firstError } from "../../core/first-error.ts";
import { systemRandom } from "../../core/ports.ts";
import { describeAddress } from "../../core/timeline.ts";
import type { ArchiveFacts } from "../archive/archive-facts.ts";
import { importArchive, type ImportOptions, type ImportRules } from "../archive/import-archive.ts";
import type { ImportReport } from "../archive/import-report.ts";
import { ArchiveSource, type ArchiveInput } from "../archive/import-source.ts";
import { readArchive, type ArchiveSummary } from "../archive/read-archive.ts";
import type { VerifyArchiveOptions } from "../archive/verify-archive.ts";
import type { Vault } from "../vault.ts";
import type { CopyVerification } from "./copy-report.ts";
import { LiveSet } from "./live-set.ts";
import { digestStore } from "./store-digest.ts";

/** What a backup holds. */
export interface BackupListing {
  readonly summary: ArchiveSummary;
  /** Over its live mementos, as `Memento.digest` gives it of the store. */
  readonly digest: string;
  /** The text of the key file that it brings; null for none. */
  readonly keys: string | null;
  readonly caretakers: readonly { readonly name: string; readonly timelines: number; readonly mementos: number }[];
  readonly timelines: readonly BackedUpTimeline[];
}

/** A timeline in a backup. */
export interface BackedUpTimeline {
  readonly key: string;
  /** `caretaker/originator@partition#fork`. */
  readonly name: string;
  /** Live mementos. */
  readonly mementos: number;
  readonly head: string | null;
}

/** Reads a backup to its end, checks all of it, and says what it holds. DAMAGED, KEY_MISSING, KEY_WRONG, SIGNER_UNTRUSTED, INPUT_MISSING. */
export async function listBackup(input: ArchiveInput, options: VerifyArchiveOptions = {}): Promise<BackupListing> {
  const { keys = null, trust = null } = options;
  await using source = await ArchiveSource.open(input, systemRandom, options);
  const { summary, facts } = await readArchive(source, { ring: keys, outsideOnly: false, trust });
  if (facts === null) throw new MementoError("KEY_MISSING", `${source.where} is sealed and no key was given`);
  const timelines = [...facts.lines.values()].map(({ item, records }) => ({
    caretaker: item.caretaker,
    key: item.key,
    name: describeAddress(item),
    mementos: records.filter(({ removed }) => !removed).length,
    head: item.head,
  }));
  const names = new Set([...facts.policies.keys(), ...timelines.map(({ caretaker }) => caretaker)]);
  return {
    summary,
    digest: facts.digest.digest,
    keys: facts.keys,
    caretakers: [...names].toSorted().map((caretaker) => {
      const its = timelines.filter((one) => one.caretaker === caretaker);
      return { name: caretaker, timelines: its.length, mementos: its.reduce((sum, { mementos }) => sum + mementos, 0) };
    }),
    timelines: timelines.map(({ caretaker: _caretaker, ...timeline }) => timeline),
  };
}

/** How to restore a backup. */
export interface RestoreBackupOptions extends Omit<ImportOptions, "fork" | "dryRun"> {
  /** False: the store is not read again at the end to be compared with the backup. Default true. */
  readonly verify?: boolean;
}

/** What a restored backup came to. */
export interface RestoredBackup extends ImportReport {
  /** null where it was not asked for. */
  readonly verified: CopyVerification | null;
}

/**
 * Brings a backup into a store and compares both by their digests. The whole file is read and checked before anything is
 * written; stopped or killed, the same again makes it whole. What `importArchive` raises.
 */
export async function restoreBackup(
  vault: Vault,
  input: ArchiveInput,
  options: RestoreBackupOptions = {},
  rules?: ImportRules,
): Promise<RestoredBackup> {
  const { verify = true, ...importing } = options;
  let facts: ArchiveFacts | null = null;
  const take = (found: ArchiveFacts): void => {
    facts = found;
  };
  const report = await firstError(async () => await importArchive(vault, input, importing, rules, take));
  return { ...report, verified: verify && facts !== null ? await compare(vault, facts, options.signal) : null };
}

async function compare(vault: Vault, facts: ArchiveFacts, signal: AbortSignal | undefined): Promise<CopyVerification> {
  const live = new LiveSet();
  for (const [timeline, { records }] of facts.lines)
    for (const [index, { removed }] of records.entries()) if (!removed) live.add({ timeline, sequence: index + 1 });
  const wanted = facts.digest;
  const found = await digestStore(vault, { live, byLog: true, deep: true, signal });
  const differing = [...facts.lines].filter(([key]) => found.byTimeline.get(key) !== wanted.byTimeline.get(key));
  return {
    digest: wanted.digest,
    mementos: wanted.mementos,
    identical: wanted.digest === found.digest,
    missing: wanted.mementos - found.mementos,
    differing: differing.map(([, { item }]) => describeAddress(item)),
    whole: true,
  };
}
