import { MementoError } from "../../core/errors.ts";
import { describeAddress } from "../../core/timeline.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { beginMaintenance } from "../maintenance.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveFacts } from "./archive-facts.ts";
import { withFlatHead } from "./flatten-head.ts";
import { checkLines } from "./import-check.ts";
import { importLines } from "./import-lines.ts";
import { findImported, importMemento, placeOf, type MementoImportPorts } from "./import-memento.ts";
import { linesReport, type ImportReport } from "./import-report.ts";
import { ArchiveSource, type ArchiveInput } from "./import-source.ts";
import { readArchive, type ReadArchive } from "./read-archive.ts";

/** How to import. */
export interface ImportOptions {
  /** The keys that open the file. Default: those of the store. */
  readonly keys?: KeyRing | null;
  /** Imports the memento, or a timeline's head, as a fork of this name, whatever else the store holds. */
  readonly fork?: string;
  /** Fingerprints; a file that none of them has signed is refused. Default: any signer. */
  readonly trust?: readonly string[];
  /** True: says what would be done, and changes nothing. Default false. */
  readonly dryRun?: boolean;
  /** The file's name in messages, where it comes as a stream. */
  readonly name?: string;
  readonly signal?: AbortSignal;
  /** Told how many mementos were imported, of how many. */
  readonly onProgress?: (done: { readonly mementos: number; readonly total: number }) => void;
}

/** What an import asks of those above it, who know what pieces and settings mean. */
export interface ImportRules {
  /** True for pieces of a memento that stay behind when it becomes a fork. */
  readonly staysBehind: (key: string) => boolean;
  /** Throws for settings of a caretaker that this release cannot read: in a store they would be in everybody's way. */
  readonly demandSettings: (text: string, what: string) => void;
}

const NO_RULES: ImportRules = { staysBehind: () => false, demandSettings: () => undefined };

interface Importing {
  readonly vault: Vault;
  readonly where: string;
  readonly archive: ReadArchive;
  readonly facts: ArchiveFacts;
  readonly options: ImportOptions;
  readonly rules: ImportRules;
}

/**
 * Brings a portable file into a store. The whole file is read and checked, signature included, before anything is written;
 * then timelines come with their ids, epochs and digests as they were, and a single memento as a new one that names its
 * origin. Importing the same again changes nothing; after a crash it makes the import whole. DAMAGED, FORMAT_UNKNOWN,
 * KEY_MISSING, KEY_WRONG, SIGNER_UNTRUSTED, EXISTS, CONFLICT, LOCKED.
 */
export async function importArchive(
  vault: Vault,
  input: ArchiveInput,
  options: ImportOptions = {},
  rules: ImportRules = NO_RULES,
  onFacts?: (facts: ArchiveFacts) => void,
): Promise<ImportReport> {
  await using source = await ArchiveSource.open(input, vault.random, options);
  const { where } = source;
  const { keys = vault.ring, trust = null } = options;
  const archive = await readArchive(source, { ring: keys, outsideOnly: false, trust });
  const { facts } = archive;
  if (facts === null) throw new MementoError("KEY_MISSING", `${where} is sealed and no key was given`);
  if (facts.header.content === "store" && options.fork !== undefined)
    throw new MementoError("INVALID_ARGUMENT", `${where} holds a whole store, and a fork is of one timeline`);
  for (const [caretaker, text] of facts.policies)
    rules.demandSettings(text, `${where} is refused: the record of caretaker ${caretaker}`);
  onFacts?.(facts);
  const importing = { vault, where, archive, facts, options, rules };
  if (facts.memento !== null) return await single(importing);
  return options.fork === undefined ? await lines(importing) : await headAlone(importing);
}

async function lines({ vault, where, archive, facts, options }: Importing): Promise<ImportReport> {
  const { summary, content } = archive;
  const { dryRun = false, signal, onProgress } = options;
  if (dryRun) return linesReport(summary, await checkLines(vault, facts), { imported: 0, dryRun });
  // What was removed comes before what needs it: nobody may collect it in between.
  await using _alone = await beginMaintenance(vault);
  const standings = await checkLines(vault, facts);
  let mementos = 0;
  const onMementos = (count: number): void => {
    mementos += count;
    onProgress?.({ mementos, total: summary.mementos });
  };
  const imported = await importLines(content(), { vault, facts, standings, where, signal, onMementos });
  // Afterwards: a pin of a memento that is not there yet would keep garbage collection from its work.
  await keepPolicies(vault, facts);
  return linesReport(summary, standings, { imported, dryRun });
}

/** A caretaker that the store has already keeps its own policy. */
async function keepPolicies(vault: Vault, { header: { id }, policies }: ArchiveFacts): Promise<void> {
  for (const [caretaker, policy] of policies) {
    if ((await vault.store.caretaker(caretaker)) !== null) continue;
    const fixed = { name: caretaker, created: new Date(vault.clock.now()).toISOString(), version: 1, policy };
    const notice = vault.notice("caretaker-saved", { caretaker, timeline: null, mementos: [] }, { import: id });
    await vault.store.saveCaretaker({ ...fixed, check: vault.checks.caretaker(fixed) }, notice);
  }
}

async function headAlone({ vault, where, archive, facts, options, rules }: Importing): Promise<ImportReport> {
  return await withFlatHead(archive, facts, vault, async ({ path, ring }) => {
    const { trust: _trust, ...others } = options;
    const report = await importArchive(vault, path, { ...others, keys: ring, name: where }, rules);
    return { ...report, ...archive.summary };
  });
}

async function single({ vault, where, archive, facts, options, rules }: Importing): Promise<ImportReport> {
  const { summary, header, content } = archive;
  const { dryRun = false, fork = null, onProgress } = options;
  const [line] = [...facts.lines.values()].map(({ item }) => item);
  const { memento } = facts;
  if (line === undefined || memento === null) throw new MementoError("DAMAGED", `${where} holds no memento`);
  const known = await findImported(vault, header, memento);
  // Who asks for a fork by name wants one beside the very memento that it is of, but only one.
  if (known !== null && (fork === null || known.id !== memento.entry.id)) {
    const { record } = await vault.timeline(known.timeline);
    const there = { key: record.key, name: describeAddress(record), head: known.id, isNew: false, missing: 0 };
    return { ...summary, imported: 0, alreadyThere: true, made: known.id, timelines: [there], dryRun };
  }
  const ports: MementoImportPorts = { vault, header, line, memento, where, fork, staysBehind: rules.staysBehind };
  const place = await placeOf(vault, ports);
  const made = dryRun ? null : await importMemento(content(), place, ports);
  if (made !== null) onProgress?.({ mementos: 1, total: 1 });
  const imported = made === null ? 0 : 1;
  const key = made?.timeline ?? line.key;
  const timeline = { key, name: describeAddress(place.address), head: made?.id ?? null, isNew: true, missing: 1 };
  return { ...summary, imported, alreadyThere: false, made: made?.id ?? null, timelines: [timeline], dryRun };
}
