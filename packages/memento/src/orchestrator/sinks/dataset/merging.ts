import type { Listed } from "./manifest.ts";
import type { DatasetStream } from "./state.ts";

/** When small files are merged. */
export interface MergeRule {
  /** So many files of one level in a row are merged into one of the next. */
  readonly files: number;
  /** No merged file is larger, or has more rows. */
  readonly bytesMax: number;
  readonly rowsMax: number;
}

/**
 * The newest files of the stream that are to become one: a full row of one level, all small enough. Each row of data is so
 * written again once for each level, and levels grow as the logarithm of the number of writes. Null where none are due.
 * Files named in `except` are left alone.
 */
export function dueMerge({ files }: DatasetStream, rule: MergeRule, except: ReadonlySet<string>): Listed[] | null {
  const listed = [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const last = listed.slice(-rule.files);
  const [, newest] = last.at(-1) ?? [];
  if (newest === undefined || last.length < rule.files) return null;
  const isRow = last.every(
    ([name, { level, schema }]) => level === newest.level && schema === newest.schema && !except.has(name),
  );
  const sum = (of: "bytes" | "rows"): number => last.reduce((total, [, entry]) => total + entry[of], 0);
  return isRow && sum("bytes") <= rule.bytesMax && sum("rows") <= rule.rowsMax ? last : null;
}
