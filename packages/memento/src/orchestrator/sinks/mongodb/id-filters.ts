import type { Document, Filter, ObjectId } from "mongodb";

/** The cost of a long `$in` grows faster than its length on some servers. */
export const KEYS_AT_ONCE = 128;
/** From so many ids in a row on, a range is asked for. */
const RUN_LENGTH_MIN = 8;
const COUNTER_BYTES = 3;

/**
 * Filters that together find the documents of these ids and no others. A batch's own ids follow one another, and are found as
 * one range each; all other ids by their values.
 */
export function idFilters(ids: readonly unknown[]): Filter<Document>[] {
  const filters: Filter<Document>[] = [];
  const single: unknown[] = ids.filter((id) => !isObjectId(id));
  const objectIds = ids.filter(isObjectId).map((id) => ({ id, hex: id.toHexString() }));
  objectIds.sort((a, b) => (a.hex < b.hex ? -1 : 1));
  for (let start = 0; start < objectIds.length;) {
    let end = start + 1;
    while (end < objectIds.length && follows(objectIds[end]?.hex ?? "", objectIds[end - 1]?.hex ?? "")) end += 1;
    const run = objectIds.slice(start, end);
    const [first, last] = [run[0]?.id, run.at(-1)?.id];
    if (run.length < RUN_LENGTH_MIN || first === undefined || last === undefined)
      single.push(...run.map(({ id }) => id));
    else filters.push({ _id: { $gte: first, $lte: last } });
    start = end;
  }
  for (let start = 0; start < single.length; start += KEYS_AT_ONCE)
    filters.push({ _id: { $in: single.slice(start, start + KEYS_AT_ONCE) as never[] } });
  return filters;
}

/** True for an `_id` of the kind that a driver draws. */
export function isObjectId(id: unknown): id is ObjectId {
  return typeof id === "object" && id !== null && "_bsontype" in id && id._bsontype === "ObjectId";
}

/** True where there is no id between two hexadecimal ones. */
function follows(later: string, earlier: string): boolean {
  const digits = COUNTER_BYTES * 2;
  if (later.slice(0, -digits) !== earlier.slice(0, -digits)) return false;
  const step = Number.parseInt(later.slice(-digits), 16) - Number.parseInt(earlier.slice(-digits), 16);
  return step === 1 || step === 0;
}
