import type { AppendRecord } from "../store.ts";

/** What a batch asks of one timeline, when all of its records are to be taken. */
export interface AppendLine {
  readonly timeline: string;
  readonly expected: number;
  readonly epoch: number;
  /** The record that becomes the head. */
  readonly last: AppendRecord;
}

/** The last part of a memento's id. */
export const nonceOf = (id: string): string => id.slice(id.lastIndexOf("-") + 1);

/**
 * The timelines of a batch in the order of their texts, which is the order in which all lock them. null where the records
 * of one do not follow one another: such a batch cannot be taken as a whole.
 */
export function appendLines(records: readonly AppendRecord[]): readonly AppendLine[] | null {
  const lines = new Map<string, AppendLine>();
  for (const record of records) {
    const { timeline, sequence, epoch } = record.entry;
    const line = lines.get(timeline);
    if (line !== undefined && (line.last.entry.sequence !== sequence - 1 || line.epoch !== epoch)) return null;
    lines.set(timeline, { timeline, expected: line?.expected ?? sequence - 1, epoch, last: record });
  }
  return [...lines.values()].toSorted((a, b) => (a.timeline < b.timeline ? -1 : 1));
}
