import { MementoError } from "../../../core/errors.ts";
import type { SourceOffset, SourceOffsets } from "../source.ts";

/** A place in one partition of a topic. A plain number is taken for `next`, so that people can set one by hand. */
export interface TopicPlace {
  /** The offset of the next record. */
  readonly next: number;
  /** The partition's first offset when it was first read; going back to before that needs all from there on. */
  readonly first: number;
  /** Records that were read since. */
  readonly records: number;
  /** The topic's id: one that was made anew under the same name has another. Null where it is not known. */
  readonly topic: string | null;
}

/** What an offset says; null for a partition that was never read. SOURCE_MOVED for what is no place in a topic. */
export function placeOf(offsets: SourceOffsets, partition: number, where: string): TopicPlace | null {
  const offset = offsets[String(partition)];
  if (offset === undefined || offset === null) return null;
  if (typeof offset === "number" && isOffset(offset)) return { next: offset, first: offset, records: 0, topic: null };
  const { next, first, records, topic } = offset as Partial<Record<keyof TopicPlace, SourceOffset>>;
  const isPlace = isOffset(next) && isOffset(first) && isOffset(records);
  if (isPlace && (typeof topic === "string" || topic === null)) return { next, first, records, topic };
  throw new MementoError(
    "SOURCE_MOVED",
    `${JSON.stringify(offset)} is no place in ${where}: another kind of source made it`,
  );
}

/**
 * The place of a partition that offsets do not name. Null, wherever it now begins, if they name none: the first read keeps the places
 * of all. One that is missing among others was added since, and begins with its first record.
 */
export function unreadPlace(offsets: SourceOffsets, topic: string): TopicPlace | null {
  const isFirst = Object.values(offsets).every((offset) => offset === null);
  return isFirst ? null : { next: 0, first: 0, records: 0, topic };
}

/** Partitions that are named by offsets, beyond those that the topic has. */
export function strangePartitions(offsets: SourceOffsets, partitions: number): string[] {
  return Object.keys(offsets).filter((name) => !(/^(?:0|[1-9]\d*)$/u.test(name) && Number(name) < partitions));
}

const isOffset = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
