import { isMementoError, MementoError } from "../../../core/errors.ts";
import { copyValue } from "../../../vault/copy-value.ts";
import { checkBatchRecords, ONLY_PARTITION, onlyOffset } from "../file/file-source.ts";
import type { ReadOptions, Source, SourceBatch, SourceInspection, SourceOffset } from "../source.ts";
import { followed } from "./followed-iterator.ts";

/** A record, and the place after it. */
export interface PlacedRecord<Row> {
  readonly record: Row;
  readonly offset: SourceOffset;
}

/** How to make a source of anything that can be iterated. */
export interface IterableSourceOptions<Row> {
  /** What it reads, for people; without secrets. */
  readonly name: string;
  /** `1` by default. */
  readonly schemaVersion?: string;
  /**
   * The records after an offset; null is the beginning. Called once for each read. Must give the same records in the same
   * order each time, or throw SOURCE_MOVED or SOURCE_RANGE_GONE where it cannot.
   */
  readonly records: (
    from: SourceOffset | null,
    signal: AbortSignal,
  ) => AsyncIterable<PlacedRecord<Row>> | Iterable<PlacedRecord<Row>>;
  /** What a plan asks. By default everything is said to be available, and how many records there are stays unknown. */
  readonly inspect?: (
    from: SourceOffset | null,
    to: SourceOffset | null,
  ) => SourceInspection | Promise<SourceInspection>;
}

/**
 * A source of the records of an iterable that knows its own offsets. A read ends promptly with CANCELLED when its signal
 * fires, even while the iterable makes it wait; the iterable is returned when a read is left early. What the iterable
 * throws is passed on as the cause of SOURCE_FAILED, after the records before it.
 */
export function iterableSource<Row>(options: IterableSourceOptions<Row>): Source<Row> {
  const { name, schemaVersion = "1", records, inspect } = options;
  return {
    kind: "iterable",
    schemaVersion,
    describe: () => name,
    open: async () => await Promise.resolve(),
    read: (reading) => placedBatches(name, records, reading),
    inspect: async (from, to) => {
      if (inspect === undefined) return { available: true, problem: "", recordsBetween: null };
      return await inspect(onlyOffset(name, from), onlyOffset(name, to));
    },
    close: async () => await Promise.resolve(),
  };
}

/**
 * A source of the records of an iterable that knows nothing of offsets: the offset is the number of records, and reading
 * goes on by making the iterable anew and passing over as many. SOURCE_RANGE_GONE where it no longer has as many. Records that
 * are plain data are handed out as copies: an attempt that changes them in place leaves to the next one what the iterable has.
 */
export function fromIterable<Row>(
  make: () => AsyncIterable<Row> | Iterable<Row>,
  options: { readonly name?: string; readonly schemaVersion?: string } = {},
): Source<Row> {
  const { name = "iterable", schemaVersion = "1" } = options;
  return iterableSource<Row>({
    name,
    schemaVersion,
    records: (from) => counted(name, make, from === null ? 0 : countOf(name, from)),
    inspect: (from, to) => inspectCounts(name, from, to),
  });
}

async function* placedBatches<Row>(
  name: string,
  make: IterableSourceOptions<Row>["records"],
  { from, batchRecords, signal }: ReadOptions,
): AsyncGenerator<SourceBatch<Row>> {
  checkBatchRecords(batchRecords);
  const offset = onlyOffset(name, from);
  let records: Row[] = [];
  let last: SourceOffset = null;
  const batch = (): SourceBatch<Row> => ({ records, partition: ONLY_PARTITION, offset: last });
  const iterator = followed(name, () => make(offset, signal), signal);
  try {
    while (true) {
      const next = await iterator.next();
      if (next.kind === "item") {
        records.push(next.item.record);
        last = next.item.offset;
        if (records.length < batchRecords) continue;
      }
      if (records.length > 0) yield batch();
      records = [];
      if (next.kind === "end") return;
      if (next.kind === "failure") throw next.error;
    }
  } finally {
    await iterator.leave();
  }
}

async function* counted<Row>(
  name: string,
  make: () => AsyncIterable<Row> | Iterable<Row>,
  from: number,
): AsyncGenerator<PlacedRecord<Row>> {
  let count = 0;
  for await (const record of make()) {
    count += 1;
    if (count > from) yield { record: copyValue(record) as Row, offset: count };
  }
  if (count >= from) return;
  const message = `${name} has only ${count} records, but ${from} were read from it`;
  throw new MementoError("SOURCE_RANGE_GONE", message, { details: { records: count, read: from } });
}

function inspectCounts(name: string, from: SourceOffset | null, to: SourceOffset | null): SourceInspection {
  try {
    const [before, after] = [from, to].map((offset) => (offset === null ? 0 : countOf(name, offset)));
    const known = before !== undefined && after !== undefined && after >= before;
    return { available: true, problem: "", recordsBetween: known ? after - before : null };
  } catch (error) {
    if (!isMementoError(error, "SOURCE_MOVED")) throw error;
    return { available: false, problem: error.message, recordsBetween: null };
  }
}

function countOf(name: string, offset: SourceOffset): number {
  if (typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0) return offset;
  throw new MementoError(
    "SOURCE_MOVED",
    `the offset is no count of records of ${name}: another kind of source has made it`,
  );
}
