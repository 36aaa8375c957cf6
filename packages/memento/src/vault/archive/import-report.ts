import { describeAddress } from "../../core/timeline.ts";
import type { LineStanding } from "./import-check.ts";
import type { ArchiveSummary } from "./read-archive.ts";

/** A timeline after an import. */
export interface ImportedTimeline {
  readonly key: string;
  /** `caretaker/originator@partition#fork`. */
  readonly name: string;
  /** Its newest memento; null for none, and before one that would be made. */
  readonly head: string | null;
  /** True: the import made it, or would make it. */
  readonly isNew: boolean;
  /** Mementos that the store did not have, removed ones included. */
  readonly missing: number;
}

/** What an import did, or would do. */
export interface ImportReport extends ArchiveSummary {
  /** Live mementos that were appended. */
  readonly imported: number;
  /** True: everything was there already. */
  readonly alreadyThere: boolean;
  /** The memento that was made of a file that holds one, or of a head, or that was made of it before; null for timelines, and in a dry run. */
  readonly made: string | null;
  readonly timelines: readonly ImportedTimeline[];
  readonly dryRun: boolean;
}

/** The report of an import of timelines. */
export function linesReport(
  summary: ArchiveSummary,
  standings: readonly LineStanding[],
  done: { readonly imported: number; readonly dryRun: boolean },
): ImportReport {
  return {
    ...summary,
    ...done,
    alreadyThere: standings.every(({ state, missing }) => state !== null && missing === 0),
    made: null,
    timelines: standings.map(({ line: { item }, state, missing }) => ({
      key: item.key,
      name: describeAddress(item),
      head: item.head,
      isNew: state === null,
      missing,
    })),
  };
}
