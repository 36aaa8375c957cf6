import { keyValues } from "../sql/rows.ts";
import type { AppendBatch, AppendRecord } from "../store.ts";

/** A call of one of the schema's functions. */
export interface AppendCall {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** What a batch asks of one timeline. */
interface Line {
  readonly expected: number;
  readonly epoch: number;
  readonly last: AppendRecord;
}

/**
 * The function that appends a batch, and its values. null where a timeline's records do not follow one another: then it
 * takes a look at each record to say what becomes of it.
 */
export function appendCall(batch: AppendBatch, dataKey: string | null): AppendCall | null {
  const [only, ...others] = batch.records;
  return only !== undefined && others.length === 0 ? callForOne(batch, only, dataKey) : callForMany(batch, dataKey);
}

const nonceOf = (id: string): string => id.slice(id.lastIndexOf("-") + 1);

function callForOne(
  { header, body, dataKey: newKey }: AppendBatch,
  { entry, expectedSequence, headCheck }: AppendRecord,
  dataKey: string | null,
): AppendCall {
  const { timeline, epoch, id } = entry;
  const place = [timeline, expectedSequence, epoch, id, headCheck, nonceOf(id)];
  const values = [...place, header, body, dataKey, newKey === null ? null : keyValues(newKey)];
  return { sql: "append_one(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values };
}

function callForMany(
  { records, header, body, dataKey: newKey }: AppendBatch,
  dataKey: string | null,
): AppendCall | null {
  const lines = new Map<string, Line>();
  for (const record of records) {
    const { timeline, sequence, epoch } = record.entry;
    const line = lines.get(timeline);
    if (line !== undefined && (line.last.entry.sequence !== sequence - 1 || line.epoch !== epoch)) return null;
    lines.set(timeline, { expected: line?.expected ?? sequence - 1, epoch, last: record });
  }
  // All lock rows in the same order.
  const sorted = [...lines].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const values = [
    sorted.map(([timeline]) => timeline),
    sorted.map(([, { expected }]) => expected),
    sorted.map(([, { epoch }]) => epoch),
    sorted.map(([, { last }]) => last.entry.sequence),
    sorted.map(([, { last }]) => last.entry.id),
    sorted.map(([, { last }]) => last.headCheck),
    records.map(({ entry }) => entry.timeline),
    records.map(({ entry }) => entry.sequence),
    records.map(({ entry }) => nonceOf(entry.id)),
    header,
    body,
    dataKey,
    newKey === null ? null : keyValues(newKey),
  ];
  return { sql: "append_all(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values };
}
