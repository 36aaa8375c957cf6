import type { CollectReport } from "@mementojs/memento";

import type { Style } from "../terminal/style.ts";
import { bytesText, counted, grouped } from "../terminal/words.ts";

const LISTED_MAX = 200;

/** What a collection did, or would do, for a person. `names` are those of timelines, by their keys. */
export function gcText(report: CollectReport, names: ReadonlyMap<string, string>, style: Style): string {
  const { dryRun, removed, kept, pins, neededRemoved, packs, bytes, repacked, compactedBytes } = report;
  const lines: string[] = [];
  for (const { entry, why } of removed.slice(0, LISTED_MAX))
    lines.push(
      `  ${style.bold(entry.id)}  ${names.get(entry.timeline) ?? entry.originator} #${entry.sequence}, ${entry.created}: ${why}`,
    );
  if (removed.length > LISTED_MAX) lines.push(`  and ${grouped(removed.length - LISTED_MAX)} more`);
  lines.unshift(
    `${dryRun ? "Would remove" : "Removed"} ${counted(removed.length, "memento")}${removed.length > 0 ? ":" : "."}`,
  );
  for (const { caretaker, mementos, reasons } of kept) {
    const why = Object.entries(reasons).map(
      ([reason, count]) => `${reason}${count === 1 ? "" : ` (${grouped(count)})`}`,
    );
    lines.push(
      `${dryRun ? "Would keep" : "Kept"} ${counted(mementos, "memento")} of ${style.bold(caretaker)}: ${why.join(", ")}`,
    );
  }
  for (const pin of pins)
    lines.push(`Pinned: ${pin.id} of ${pin.caretaker}${pin.reason === "" ? "" : `, ${pin.reason}`}`);
  if (neededRemoved > 0)
    lines.push(
      `${counted(neededRemoved, "removed memento")} ${neededRemoved === 1 ? "stays in part: others share what it holds" : "stay in part: others share what they hold"}.`,
    );
  lines.push(`${dryRun ? "Would free" : "Freed"} ${counted(packs, "pack")}, ${bytesText(bytes)}.`);
  if (repacked.packs > 0) {
    const saved = dryRun ? "" : `, ${bytesText(repacked.bytes)} less`;
    lines.push(
      `${dryRun ? "Would seal" : "Sealed"} ${counted(repacked.packs, "pack")} anew that ${repacked.packs === 1 ? "is" : "are"} mostly garbage${saved}.`,
    );
  }
  if (compactedBytes !== null) lines.push(`Gave ${bytesText(compactedBytes)} back to the file system.`);
  return lines.join("\n");
}
