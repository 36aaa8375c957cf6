import type { CaretakerRecord } from "../../store/store.ts";
import type { Vault } from "../vault.ts";

/** What became of the settings of caretakers: their policies and pins. */
export interface CopiedSettings {
  /** Names of those whose settings were written. */
  readonly copied: readonly string[];
  /** Names of those that have other settings here, and keep them. */
  readonly kept: readonly string[];
}

const ATTEMPTS_MAX = 20;

/**
 * Reads the settings that are to be copied. To be done before the mementos are listed, so that no pin is of one that does
 * not come along. DAMAGED for settings that somebody without the key has changed.
 */
export async function readSettingsOf(from: Vault): Promise<readonly CaretakerRecord[]> {
  const records = await from.store.caretakers();
  for (const record of records)
    from.checks.demand(`The record of caretaker ${record.name}`, record.check, from.checks.caretaker(record));
  return records;
}

/**
 * Writes the settings of caretakers, once their mementos are there: a pin of one that is missing would keep garbage
 * collection from its work. Where a caretaker has other settings already, it keeps them, unless `follow`: then they become
 * those of the source, whose id is `source`.
 */
export async function writeSettings(
  to: Vault,
  records: readonly CaretakerRecord[],
  { source, follow }: { readonly source: string; readonly follow: boolean },
): Promise<CopiedSettings> {
  const copied: string[] = [];
  const kept: string[] = [];
  for (const record of records) {
    const became = await copyOne(to, record, source, follow);
    if (became === "copied") copied.push(record.name);
    if (became === "kept") kept.push(record.name);
  }
  return { copied, kept };
}

async function copyOne(
  to: Vault,
  { name, created, policy }: CaretakerRecord,
  source: string,
  follow: boolean,
): Promise<"copied" | "kept" | "same"> {
  for (let attempt = 1; ; attempt++) {
    const present = await to.store.caretaker(name);
    if (present?.policy === policy) return "same";
    if (present !== null && (!follow || attempt > ATTEMPTS_MAX)) return "kept";
    const fixed = { name, created: present?.created ?? created, version: (present?.version ?? 0) + 1, policy };
    const about = { caretaker: name, timeline: null, mementos: [] };
    const notice = to.notice("caretaker-saved", about, { copy: source });
    // False: somebody else has just saved it; it is looked at again.
    if (await to.store.saveCaretaker({ ...fixed, check: to.checks.caretaker(fixed) }, notice)) return "copied";
  }
}
