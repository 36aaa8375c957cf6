import type { CopyReport, CopyVerification } from "@mementojs/memento";

import type { Style } from "../terminal/style.ts";
import { bytesText, counted, durationText, grouped, listText } from "../terminal/words.ts";

/** What a copy did, for a person. */
export function copyText(report: CopyReport, durationMs: number, style: Style): string {
  const { copied, present, removedCopied, newTimelines, timelines, bytes, from, to, verified } = report;
  const made = newTimelines > 0 ? `, ${grouped(newTimelines)} of them new` : "";
  const head =
    copied + removedCopied === 0
      ? `Nothing to copy: ${style.bold(to)} has all of ${from} already.`
      : `Copied ${counted(copied, "memento")} from ${from} to ${style.bold(to)} (${bytesText(bytes)}, in ${durationText(durationMs)}).`;
  const lines = [
    head,
    `  ${counted(timelines, "timeline")}${made}${copied > 0 && present > 0 ? `; ${counted(present, "memento")} were there before` : ""}`,
    ...notes(report),
  ];
  return [...lines, ...(verified === null ? [] : [verifiedText(verified, style)])].join("\n");
}

function notes({ caretakers, removedCopied, deleted, onlyInTarget, evidence }: CopyReport): readonly string[] {
  const found: string[] = [];
  if (caretakers.copied.length > 0) found.push(`policies and pins of ${listText(caretakers.copied)} were written`);
  if (caretakers.kept.length > 0)
    found.push(
      `${listText(caretakers.kept)} ${caretakers.kept.length === 1 ? "has" : "have"} other policies or pins there, which stay`,
    );
  if (removedCopied > 0)
    found.push(`${counted(removedCopied, "removed memento")} came along, for what others need of them`);
  if (deleted > 0) found.push(`${counted(deleted, "memento")} were removed there, as they are here`);
  if (onlyInTarget > 0)
    found.push(`${counted(onlyInTarget, "memento")} that are removed here stay there; --delete removes them`);
  if (evidence > 0)
    found.push(
      `${counted(evidence, "entry", "entries")} of the log (restores, clean-ups, deletions) were written down`,
    );
  return found.map((line) => `  ${line}`);
}

function verifiedText(verified: CopyVerification, style: Style): string {
  const { identical, digest, mementos, differing, whole, missing } = verified;
  if (!identical) {
    const where = `${counted(differing.length, "timeline")}: ${listText(differing.slice(0, 10))}`;
    const why =
      missing > 0
        ? `${counted(missing, "memento")} were removed there on its own, or came without their content; nothing brings them back into that store.`
        : "Run `memento verify` on both.";
    return `${style.red("Not the same:")} the stores give other digests for ${where}\n${why}`;
  }
  const what = whole ? counted(mementos, "memento") : counted(mementos, "new memento");
  return `${style.green("Verified:")} both stores give the digest ${style.bold(digest)} for ${what}.`;
}
