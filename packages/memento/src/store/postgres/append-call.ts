import { appendLines, nonceOf } from "../sql/append-lines.ts";
import { keyValues } from "../sql/rows.ts";
import type { AppendBatch, AppendRecord } from "../store.ts";

/** A call of one of the schema's procedures. */
export interface AppendCall {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/** The procedure that appends a batch as a whole, and its values; null for a batch that cannot be taken so. */
export function appendCall(batch: AppendBatch, dataKey: string | null): AppendCall | null {
  const [only, ...others] = batch.records;
  return only !== undefined && others.length === 0 ? callForOne(batch, only, dataKey) : callForMany(batch, dataKey);
}

function callForOne(
  { header, body, dataKey: newKey }: AppendBatch,
  { entry, expectedSequence, headCheck, replaceName }: AppendRecord,
  dataKey: string | null,
): AppendCall {
  const { timeline, epoch, id, caretaker, name = null } = entry;
  const place = [timeline, expectedSequence, epoch, id, headCheck, nonceOf(id)];
  const keys = [dataKey, newKey === null ? null : keyValues(newKey)];
  const values = [...place, header, body, ...keys, caretaker, name, replaceName];
  return { sql: "append_one(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values };
}

function callForMany(
  { records, header, body, dataKey: newKey }: AppendBatch,
  dataKey: string | null,
): AppendCall | null {
  const lines = appendLines(records);
  if (lines === null || records.some(({ entry }) => entry.name !== undefined)) return null;
  const values = [
    lines.map(({ timeline }) => timeline),
    lines.map(({ expected }) => expected),
    lines.map(({ epoch }) => epoch),
    lines.map(({ last }) => last.entry.sequence),
    lines.map(({ last }) => last.entry.id),
    lines.map(({ last }) => last.headCheck),
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
