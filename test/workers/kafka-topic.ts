/** Topics that the tests of the Kafka sink write to, and the sink as processes that are killed open it. */
import { randomUUID } from "node:crypto";
import { Socket } from "node:net";

import { Admin } from "@platformatic/kafka";

import { KafkaClient } from "../../packages/memento/src/orchestrator/kafka/client.ts";
import {
  committedRecords,
  type StoredRecord,
} from "../../packages/memento/src/orchestrator/kafka/committed-records.ts";
import { kafkaTopic, type SentRecord } from "../../packages/memento/src/orchestrator/sinks/kafka/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";

/** How the sink answers a rollback: not at all, or by records that name what they take back. */
export interface KitTopic {
  readonly answers: boolean;
}

const PARTITIONS = 3;
const UNDO = "undo";
const LOOKS_MAX = 500;

/** What a worker process opens. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { broker, topic, answers } = JSON.parse(address) as { broker: string; topic: string; answers: boolean };
  beforeEachRequest(step);
  const compensate = ({
    partition,
    offset,
    key,
  }: SentRecord): readonly { key: Uint8Array; value: string; headers: Record<string, string> }[] =>
    key === null ? [] : [{ key, value: "null", headers: { [UNDO]: `${partition}/${offset}` } }];
  return kafkaTopic<KitRow>({
    brokers: broker,
    topic,
    key: ({ id }) => id,
    timeoutMs: 20_000,
    ...(answers ? { compensate } : {}),
  });
}

let steps: (() => void) | null = null;

/** Calls `step` before everything that this process sends to the broker. */
function beforeEachRequest(step: () => void): void {
  if (steps === null) {
    const write = Reflect.get(Socket.prototype, "write") as (this: Socket, ...values: unknown[]) => boolean;
    Socket.prototype.write = function (this: Socket, ...values: unknown[]): boolean {
      if (this.remotePort !== undefined) steps?.();
      return write.apply(this, values);
    };
  }
  steps = step;
}

/** Makes places of the sink kit: a topic of its own on the broker. */
export function kafkaTopicPlace(broker: () => string, { answers }: KitTopic): () => Promise<SinkPlace> {
  return async () => {
    const topic = await makeTopic(broker());
    const address = JSON.stringify({ broker: broker(), topic, answers });
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => rowsIn(await readTopic(broker(), topic)),
      meddle: async () => {
        throw new Error("nobody changes what lies in a topic");
      },
      address,
      // The broker is thrown away with all that is in it.
      dispose: async () => undefined,
    };
  };
}

/** Makes a topic that nobody else has. */
export async function makeTopic(
  broker: string,
  options: { partitions?: number; topic?: string } = {},
): Promise<string> {
  const { partitions = PARTITIONS, topic = `kit-${randomUUID()}` } = options;
  const client = await KafkaClient.open({ brokers: broker }, "A test");
  try {
    // One of this name that was deleted a moment ago may still be told of.
    const before = options.topic === undefined ? null : await client.topic(topic);
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker] });
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
    await admin.close();
    // The controller has made it; the broker tells of it a moment later.
    for (const end = performance.now() + 60_000; performance.now() < end;) {
      const made = await client.topic(topic);
      if (made !== null && made.id !== before?.id) return topic;
    }
    throw new Error(`the broker does not know ${topic} a minute after it was made`);
  } finally {
    await client.close();
  }
}

/** The committed records of a topic, as they lie in its partitions. */
export async function readTopic(broker: string, name: string): Promise<StoredRecord[]> {
  const client = await KafkaClient.open({ brokers: broker }, "A test");
  try {
    const topic = await client.topic(name);
    if (topic === null) throw new Error(`there is no topic ${name}`);
    const ends = await stableEnds(client, name);
    const starts = await client.offsets(name, "earliest");
    const found: StoredRecord[] = [];
    for (const [partition, end] of ends.entries()) {
      for (let from = starts[partition] ?? 0n; from < end;) {
        const { records, next } = await committedRecords(client, topic, partition, from);
        found.push(...records);
        from = next;
      }
    }
    return found;
  } finally {
    await client.close();
  }
}

/** Waits until the ends of all transactions are in a topic: a commit is acknowledged a moment before readers see it. */
export async function untilStable(broker: string, topic: string): Promise<void> {
  const client = await KafkaClient.open({ brokers: broker }, "A test");
  try {
    await client.topic(topic);
    await stableEnds(client, topic);
  } finally {
    await client.close();
  }
}

async function stableEnds(client: KafkaClient, topic: string): Promise<bigint[]> {
  for (let looks = 0; ; looks++) {
    const stable = await client.offsets(topic, "stable");
    const latest = await client.offsets(topic, "latest");
    if (looks === LOOKS_MAX || stable.every((end, partition) => end === latest[partition])) return stable;
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

/** The rows that count: those that no later record takes back. Equal ones are told apart by their number. */
function rowsIn(records: readonly StoredRecord[]): Map<string, KitRow> {
  const undone = new Set(records.flatMap(({ headers }) => headers[UNDO]?.toString() ?? []));
  const rows = new Map<string, KitRow>();
  for (const { partition, offset, value, headers } of records) {
    if (headers[UNDO] !== undefined || undone.has(`${partition}/${offset}`)) continue;
    const text = value?.toString("utf8") ?? "null";
    const row = JSON.parse(text) as KitRow;
    let number = 0;
    while (rows.has(`${text}#${number}`)) number += 1;
    rows.set(`${text}#${number}`, row);
  }
  return rows;
}
