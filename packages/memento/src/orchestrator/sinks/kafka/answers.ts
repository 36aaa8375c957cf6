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

/** The same record once more, where it was answered: one that was left as it is still counts. */
export function copyOfAnswered(compensate: KafkaCompensation): KafkaCompensation {
  return async (sent) => {
    const { key, value, headers } = sent;
    return (await compensate(sent)).length === 0 ? [] : [{ key, value, headers }];
  };
}

/** What is to be sent for one record, and the partition that it lies in. */
export interface Answer {
  readonly records: readonly KafkaRecord[];
  readonly partition: number;
}

/** The answers to all records of these steps that have any, oldest first. TRIMMED where the topic no longer has one of them. */
export async function* answersTo(
  client: KafkaClient,
  topic: TopicFacts,
  steps: readonly SentStep[],
  compensate: KafkaCompensation,
): AsyncGenerator<Answer> {
  for await (const sent of recordsOf(client, topic, steps)) {
    const records = await compensate(sent);
    if (records.length > 0) yield { records, partition: sent.partition };
  }
}

/** Where the records of these steps lie that have no key. TRIMMED. */
export async function keylessOf(
  client: KafkaClient,
  topic: TopicFacts,
  steps: readonly SentStep[],
): Promise<SentRange[]> {
  const found: SentRange[] = [];
  for await (const { key, partition, offset } of recordsOf(client, topic, steps)) {
    if (key !== null) continue;
    const last = found.at(-1);
    if (last?.[0] === partition && last[1] + last[2] === offset)
      found[found.length - 1] = [partition, last[1], last[2] + 1];
    else found.push([partition, offset, 1]);
  }
  return found;
}

async function* recordsOf(
  client: KafkaClient,
  topic: TopicFacts,
  steps: readonly SentStep[],
): AsyncGenerator<SentRecord> {
  for (const range of steps.flatMap(({ ranges }) => ranges))
    for await (const stored of recordsIn(client, topic, range)) yield sentRecord(topic.topic, stored);
}

async function* recordsIn(
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
