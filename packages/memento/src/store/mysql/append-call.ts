import { appendLines, nonceOf } from "../sql/append-lines.ts";
import { keyValues } from "../sql/rows.ts";
import type { SqlValue } from "../sql/session.ts";
import type { AppendBatch, AppendRecord, KeyRecord } from "../store.ts";
import { quotedName } from "./dialect.ts";

/** A call of one of the store's procedures. */
export interface AppendCall {
  readonly sql: string;
  readonly values: readonly SqlValue[];
}

/** The procedure that appends a batch as a whole, and its values; null for a batch that cannot be taken so. */
export function appendCall(batch: AppendBatch, dataKey: string | null, prefix: string): AppendCall | null {
  const [only, ...others] = batch.records;
  return only !== undefined && others.length === 0
    ? callForOne(batch, only, dataKey, prefix)
    : callForMany(batch, dataKey, prefix);
}

const keyText = (key: KeyRecord | null): string | null => (key === null ? null : JSON.stringify(keyValues(key)));

function callForOne(
  { header, body, dataKey: newKey }: AppendBatch,
  { entry, expectedSequence, headCheck, replaceName }: AppendRecord,
  dataKey: string | null,
  prefix: string,
): AppendCall {
  const { timeline, epoch, id, caretaker, name = null } = entry;
  const place = [timeline, expectedSequence, epoch, id, headCheck, nonceOf(id)];
  const naming = [caretaker, name, replaceName ? 1 : 0];
  const values = [...place, header, body, dataKey, keyText(newKey), ...naming];
  return { sql: `CALL ${quotedName(prefix, "append_one")}(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, values };
}

function callForMany(
  { records, header, body, dataKey: newKey }: AppendBatch,
  dataKey: string | null,
  prefix: string,
): AppendCall | null {
  const lines = appendLines(records);
  if (lines === null || records.some(({ entry }) => entry.name !== undefined)) return null;
  const timelines = lines.map(({ timeline, expected, epoch, last }) => {
    const { id, sequence } = last.entry;
    return [timeline, expected, epoch, sequence, id, last.headCheck];
  });
  const places = records.map(({ entry }) => [entry.timeline, entry.sequence, nonceOf(entry.id)]);
  const values = [JSON.stringify(timelines), JSON.stringify(places), header, body, dataKey, keyText(newKey)];
  return { sql: `CALL ${quotedName(prefix, "append_all")}(?, ?, ?, ?, ?, ?)`, values };
}
