import type { KafkaRecord, RecordsBatch } from "@platformatic/kafka";

import type { FetchedBatches, KafkaClient, TopicFacts } from "./client.ts";

/** A record as it lies in a partition. */
export interface StoredRecord {
  readonly partition: number;
  readonly offset: bigint;
  /** Milliseconds since 1970. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | null>>;
}

/** Some records, and the offset at which to go on; that one moves on even where there were no records. */
export interface StoredRecords {
  readonly records: readonly StoredRecord[];
  readonly next: bigint;
}

const CONTROL = 0b10_0000;
const TRANSACTIONAL = 0b1_0000;
/** The broker's time of arrival stands in the place of the sender's. */
const LOG_APPEND_TIME = 0b1000;
const ABORT = 0;

/** True for the broker's own mark of a transaction's end. */
export const isControl = (batch: RecordsBatch): boolean => (batch.attributes & CONTROL) !== 0;

/** True for records that count only once their transaction is committed. */
export const isTransactional = (batch: RecordsBatch): boolean => (batch.attributes & TRANSACTIONAL) !== 0;

/** True for the mark of a transaction that was given up. */
export const isAbort = (batch: RecordsBatch): boolean =>
  isControl(batch) && batch.records[0]?.key?.readInt16BE(2) === ABORT;

/** The offset after the last record of a batch, whether it is still there or was compacted away. */
export const endOf = (batch: RecordsBatch): bigint => batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;

/** The committed records of one partition from an offset on, as many as one answer of the broker holds. SOURCE_RANGE_GONE. */
export async function committedRecords(
  client: KafkaClient,
  topic: TopicFacts,
  partition: number,
  from: bigint,
): Promise<StoredRecords> {
  const fetched = await client.fetch(topic, partition, from, true);
  const records: StoredRecord[] = [];
  let next = from;
  for (const batch of committedBatches(fetched)) {
    next = endOf(batch) > next ? endOf(batch) : next;
    if (isControl(batch)) continue;
    for (const record of batch.records) {
      const stored = storedRecord(batch, record, partition);
      // An answer begins with the whole batch that holds the wanted offset.
      if (stored.offset >= from) records.push(stored);
    }
  }
  const last = fetched.batches.at(-1);
  return { records, next: last === undefined || endOf(last) < next ? next : endOf(last) };
}

/**
 * Leaves out the batches of aborted transactions. One producer may have aborted several within an answer, and the mark of the
 * last one may lie beyond it: each begins at its own offset and ends at the next mark of its producer, or with the answer.
 */
function* committedBatches({ batches, aborted }: FetchedBatches): Generator<RecordsBatch> {
  const waiting = aborted.toSorted((a, b) => Number(a.firstOffset - b.firstOffset));
  const open = new Set<bigint>();
  for (const batch of batches) {
    for (let first = waiting[0]; first !== undefined && first.firstOffset < endOf(batch); first = waiting[0]) {
      open.add(first.producerId);
      waiting.shift();
    }
    if (isAbort(batch)) open.delete(batch.producerId);
    if (isTransactional(batch) && !isControl(batch) && open.has(batch.producerId)) continue;
    yield batch;
  }
}

function storedRecord(batch: RecordsBatch, record: KafkaRecord, partition: number): StoredRecord {
  const headers = record.headers.map(([name, value]) => [name?.toString("utf8") ?? "", value] as const);
  return {
    partition,
    offset: batch.firstOffset + BigInt(record.offsetDelta),
    timestampMs: Number(
      (batch.attributes & LOG_APPEND_TIME) === 0 ? batch.firstTimestamp + record.timestampDelta : batch.maxTimestamp,
    ),
    key: record.key ?? null,
    value: record.value ?? null,
    headers: Object.fromEntries(headers),
  };
}
