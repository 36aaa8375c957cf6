import { MementoError } from "../../../core/errors.ts";
import type { KafkaClient, TopicFacts } from "../../kafka/client.ts";
import { committedRecords, type StoredRecord } from "../../kafka/committed-records.ts";
import type { SentRange, SentStep } from "./books.ts";
import type { KafkaRecord } from "./record.ts";

/** A record that was sent, as the topic has it. */
export interface SentRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, Uint8Array>>;
}

/** Gives the records that answer one that was sent: a counter-booking, a correction. None leaves it as it is. */
export type KafkaCompensation = (record: SentRecord) => readonly KafkaRecord[] | Promise<readonly KafkaRecord[]>;

/** The answer to a record where its key is simply to be deleted. */
export const tombstoneOf: KafkaCompensation = ({ key }) => (key === null ? [] : [{ key, value: null }]);

/** The same record once more. */
export const copyOf: KafkaCompensation = ({ key, value, headers }) => [{ key, value, headers }];

/** A record that is to be sent, and the partition of the one that it answers. */
export interface Answer {
  readonly record: KafkaRecord;
  readonly partition: number;
}

/** The answers to all records of these steps, oldest first. TRIMMED where the topic no longer has one of them. */
export async function* answersTo(
  client: KafkaClient,
  topic: TopicFacts,
  steps: readonly SentStep[],
  compensate: KafkaCompensation,
): AsyncGenerator<Answer> {
  for (const range of steps.flatMap(({ ranges }) => ranges)) {
    for await (const stored of recordsOf(client, topic, range)) {
      const { partition } = stored;
      const sent = sentRecord(topic.topic, stored);
      for (const record of await compensate(sent)) yield { record, partition };
    }
  }
}

async function* recordsOf(
  client: KafkaClient,
  topic: TopicFacts,
  [partition, first, count]: SentRange,
): AsyncGenerator<StoredRecord> {
  const end = BigInt(first + count);
  for (let from = BigInt(first); from < end;) {
    const { records, next } = await committedRecords(client, topic, partition, from);
    for (const record of records) if (record.offset < end) yield record;
    // An answer without anything, though the log goes on, would be a broker that cannot reach its own records.
    if (next === from) throw gone(topic.topic, partition, from);
    from = next;
  }
}

function sentRecord(topic: string, { partition, offset, key, value, headers }: StoredRecord): SentRecord {
  const present = Object.entries(headers).filter((header): header is [string, Buffer] => header[1] !== null);
  return { topic, partition, offset: Number(offset), key, value, headers: Object.fromEntries(present) };
}

function gone(topic: string, partition: number, offset: bigint): MementoError {
  return new MementoError("TRIMMED", `${topic}[${partition}] no longer has the record at offset ${offset}`);
}
