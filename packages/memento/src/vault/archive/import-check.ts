import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveFacts, LineFacts } from "./archive-facts.ts";

/** What an import finds of a timeline in its store. */
export interface LineStanding {
  readonly line: LineFacts;
  /** null where there is none yet. */
  readonly state: TimelineState | null;
  /** Mementos of the file that the store has not yet. */
  readonly missing: number;
}

/**
 * Compares a file's timelines with those of a store, before anything is written. EXISTS when an address or a name is taken
 * by something else, CONFLICT when a timeline has gone another way since.
 */
export async function checkLines(vault: Vault, facts: ArchiveFacts): Promise<readonly LineStanding[]> {
  const standings: LineStanding[] = [];
  for (const line of facts.lines.values()) standings.push(await standingOf(vault, line));
  for (const { line, missing } of standings) {
    for (const { name } of missing === 0 ? [] : line.records.slice(-missing))
      if (name !== null) await checkNameIsFree(vault, facts, line.item.caretaker, name);
  }
  return standings;
}

async function standingOf(vault: Vault, line: LineFacts): Promise<LineStanding> {
  const { item, records } = line;
  const where = describeAddress(item);
  const byKey = await vault.store.timeline(item.key);
  const state = byKey === null ? null : vault.verified(byKey);
  if (state !== null && describeAddress(state.record) !== where) throw taken(where, state, "has the same key");
  const byAddress = await vault.findTimeline(item);
  if (byAddress !== null && byAddress.record.key !== item.key) throw taken(where, byAddress, "is another one");
  const sequence = state?.head?.sequence ?? 0;
  const common = records[Math.min(sequence, records.length) - 1];
  if (common !== undefined) await demandSame(vault, where, common);
  return { line, state, missing: Math.max(records.length - sequence, 0) };
}

/** Digests are chained: when the last common memento is the same, all before it are. */
async function demandSame(
  vault: Vault,
  where: string,
  { id, digest }: { readonly id: string; readonly digest: string | null },
): Promise<void> {
  const stored = await vault.store.read(id);
  const isKnown = stored !== null;
  const isReadable = stored !== null && stored.body !== null && digest !== null;
  const manifests = isReadable ? await vault.reader.manifests(stored) : [];
  const manifest = manifests[stored?.slot ?? -1] ?? null;
  if (isKnown && (manifest === null || manifest.digest === digest)) return;
  throw new MementoError("CONFLICT", `Timeline ${where} has gone another way in this store: it has no such ${id}`, {
    hint: "Import under another name by `--fork NAME`, or into another store.",
    details: { id },
  });
}

/** A removed memento, too, would take its name away from who has it now. */
async function checkNameIsFree(vault: Vault, { lines }: ArchiveFacts, caretaker: string, name: string): Promise<void> {
  const holder = await vault.store.findByName(caretaker, name);
  // Among the file's own timelines names move as they did where they come from.
  if (holder === null || lines.has(parseMementoId(holder)?.timeline ?? "")) return;
  throw new MementoError("EXISTS", `The name ${JSON.stringify(name)} belongs to memento ${holder} here`, {
    hint: "Remove that memento first, or import into another store.",
    details: { id: holder },
  });
}

function taken(where: string, { record }: TimelineState, why: string): MementoError {
  return new MementoError(
    "EXISTS",
    `The store has a timeline ${describeAddress(record)} (${record.key}) already, which ${why}: ${where} cannot be imported beside it`,
    {
      hint: "Import the head alone, as a fork of its own, by `--fork NAME`; or import into another store.",
      details: { timeline: record.key },
    },
  );
}
