import { Admin, Producer } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { kafkaIsThere, startKafka } from "../../../../../../test/harness/servers/kafka.ts";
import { makeTopic, untilStable } from "../../../../../../test/workers/kafka-topic.ts";
import { systemClock } from "../../../core/ports.ts";
import { KafkaClient } from "../../kafka/client.ts";
import type { Source, SourceBatch, SourceOffsets } from "../source.ts";
import { type KafkaRow, kafkaSource, type KafkaSourceOptions } from "./index.ts";

const isThere = await requireEngine("Kafka", kafkaIsThere);
const server = isThere ? await startKafka() : null;
const broker = (): string => server?.broker ?? "";
const never = new AbortController().signal;

afterAll(async () => await server?.[Symbol.asyncDispose]());

interface Item {
  readonly id: number;
}

/** Sends the numbers from `from` to `to`, each to partition `number % partitions`; in a transaction that is aborted where it is said. */
async function send(
  topic: string,
  from: number,
  to: number,
  options: { partitions?: number; abort?: boolean } = {},
): Promise<void> {
  const { partitions = 1, abort } = options;
  const producer = new Producer({
    clientId: "writer",
    bootstrapBrokers: [broker()],
    idempotent: true,
    retries: 40,
    retryDelay: 20,
    transactionalId: `writer-${topic}-${from}`,
    producerId: -1n,
    producerEpoch: -1,
  });
  const messages = Array.from({ length: to - from + 1 }, (_none, at) => ({
    topic,
    partition: (from + at) % partitions,
    key: Buffer.from(`key ${from + at}`),
    value: Buffer.from(JSON.stringify({ id: from + at })),
    headers: new Map([[Buffer.from("from"), Buffer.from("test")]]),
  }));
  const transaction = await producer.beginTransaction({});
  await transaction.send({ messages, acks: -1 });
  await (abort === true ? transaction.abort() : transaction.commit());
  await producer.close();
  await untilStable(broker(), topic);
}

async function opened(
  topic: string,
  options: Partial<KafkaSourceOptions<KafkaRow<Item>>> = {},
): Promise<Source<KafkaRow<Item>>> {
  const source = kafkaSource<KafkaRow<Item>>({ brokers: broker(), topic, ...options });
  onTestFinished(async () => await source.close());
  await source.open({ name: "in", clock: systemClock, signal: never });
  return source;
}

async function allOf(
  source: Source<KafkaRow<Item>>,
  from: SourceOffsets = {},
  batchRecords = 10,
): Promise<{ ids: number[]; offsets: SourceOffsets; batches: SourceBatch<KafkaRow<Item>>[] }> {
  const batches: SourceBatch<KafkaRow<Item>>[] = [];
  const offsets: Record<string, SourceOffsets[string]> = { ...from };
  for await (const batch of source.read({ from, batchRecords, signal: never })) {
    if (batch.records.length > 0) batches.push(batch);
    offsets[batch.partition] = batch.offset;
  }
  const ids = batches.flatMap(({ records }) => records.map(({ value }) => value?.id ?? -1));
  return { ids: ids.toSorted((a, b) => a - b), offsets, batches };
}

const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_none, at) => from + at);

async function deleteTo(topic: string, partition: number, offset: bigint): Promise<void> {
  const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker()] });
  await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset }] }] });
  await admin.close();
}

async function partitionsOf(topic: string): Promise<number | undefined> {
  const client = await KafkaClient.open({ brokers: broker() }, "A test");
  const facts = await client.topic(topic);
  await client.close();
  return facts?.partitions;
}

describe.skipIf(!isThere)("kafkaSource()", { timeout: 180_000 }, () => {
  test("gives the committed records of all partitions, each once, and ends with what was there", async () => {
    const topic = await makeTopic(broker());
    await send(topic, 1, 40, { partitions: 3 });
    await send(topic, 1_000, 1_019, { partitions: 3, abort: true });
    await send(topic, 41, 55, { partitions: 3 });
    const source = await opened(topic);
    const { ids, batches, offsets } = await allOf(source);
    expect(ids).toEqual(upTo(55));
    expect(batches.every(({ records }) => records.length > 0 && records.length <= 10)).toBe(true);
    const [first] = batches;
    const [row] = first?.records ?? [];
    expect(row).toMatchObject({ partition: 0, key: "key 3", value: { id: 3 }, headers: { from: "test" } });
    expect(first?.share).toBeGreaterThan(0);
    expect((await allOf(source, offsets)).ids).toEqual([]);
    await send(topic, 56, 60, { partitions: 3 });
    expect((await allOf(source, offsets)).ids).toEqual(upTo(5, 56));
  });

  test("goes on from every batch's offset with the record after it", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    for (let from = 1; from <= 61; from += 20) await send(topic, from, from + 19, { partitions: 2 });
    const source = await opened(topic);
    const whole = await allOf(source, {}, 7);
    const offsets: Record<string, SourceOffsets[string]> = {};
    const seen: number[] = [];
    for (const batch of whole.batches) {
      seen.push(...batch.records.map(({ value }) => value?.id ?? -1));
      offsets[batch.partition] = batch.offset;
      const { ids } = await allOf(source, offsets);
      expect([...seen, ...ids].toSorted((a, b) => a - b)).toEqual(upTo(80));
    }
  });

  test("gives a batch again as it was, whatever has come to any partition since", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    await send(topic, 1, 9, { partitions: 2 });
    const source = await opened(topic);
    const { batches } = await allOf(source, {}, 100);
    const second = batches[1];
    await send(topic, 10, 30, { partitions: 2 });
    const first = batches[0];
    const from = { [first?.partition ?? ""]: first?.offset ?? null };
    const reading = source.read({
      from,
      batchRecords: second?.records.length ?? 0,
      only: second?.partition ?? "",
      signal: never,
    });
    for await (const again of reading) {
      expect(again.records).toEqual(second?.records);
      expect(again.offset).toEqual(second?.offset);
      break;
    }
  });

  test("says how many records lie between two places, and that all are there", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    await send(topic, 1, 30, { partitions: 2 });
    await send(topic, 31, 40, { partitions: 2 });
    const source = await opened(topic);
    const { offsets, batches } = await allOf(source);
    expect(await source.inspect({}, offsets)).toEqual({ available: true, problem: "", recordsBetween: 40 });
    const early = { "0": batches[0]?.offset ?? null };
    expect((await source.inspect(early, offsets)).recordsBetween).toBe(30);
    expect((await source.inspect(offsets, offsets)).recordsBetween).toBe(0);
  });

  test("a place that retention has taken is SOURCE_RANGE_GONE by name, and never skipped", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    await send(topic, 1, 50);
    const source = await opened(topic);
    const { offsets, batches } = await allOf(source);
    await deleteTo(topic, 0, 30n);
    const gone = {
      code: "SOURCE_RANGE_GONE",
      message: expect.stringContaining(`${topic}[0] has only the records from offset 30 on`) as string,
    };
    await expect(allOf(source, { "0": batches[0]?.offset ?? null })).rejects.toMatchObject(gone);
    const inspected = await source.inspect({ "0": batches[0]?.offset ?? null }, offsets);
    expect(inspected).toMatchObject({
      available: false,
      problem: expect.stringContaining("from offset 30 on") as string,
    });
    // Back to before the first read: what was read then is no longer all there.
    expect((await source.inspect({}, offsets)).available).toBe(false);
    expect((await source.inspect({ "0": batches[3]?.offset ?? null }, offsets)).available).toBe(true);
    expect((await allOf(source)).ids).toEqual(upTo(20, 31));
  });

  test("what retention takes of a partition that was empty, or waited for its turn, at the first read is SOURCE_RANGE_GONE too", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    await send(topic, 1, 2, { partitions: 2 });
    await deleteTo(topic, 1, 1n);
    const source = await opened(topic);
    const { offsets } = await allOf(source);
    expect(await source.inspect(offsets, offsets)).toEqual({ available: true, problem: "", recordsBetween: 0 });
    const waiting = source.read({ from: {}, batchRecords: 1, signal: never });
    const first: Record<string, SourceOffsets[string]> = {};
    for await (const { records, partition, offset } of waiting) {
      first[partition] = offset;
      if (records.length > 0) break;
    }
    await send(topic, 3, 22, { partitions: 2 });
    await deleteTo(topic, 1, 5n);
    for (const from of [offsets, first]) {
      await expect(allOf(source, from)).rejects.toMatchObject({ code: "SOURCE_RANGE_GONE", details: { partition: 1 } });
      expect(await source.inspect(from, from)).toMatchObject({ available: false });
    }
  });

  test("a partition that offsets do not name begins with its first record, and is refused where that is gone", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    await send(topic, 1, 5);
    const { offsets } = await allOf(await opened(topic));
    const admin = new Kafka({ clientId: "test", brokers: [broker()], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    await admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] });
    await admin.disconnect();
    await vi.waitUntil(async () => (await partitionsOf(topic)) === 2, { timeout: 30_000, interval: 50 });
    await send(topic, 6, 15, { partitions: 2 });
    const source = await opened(topic);
    const more = await allOf(source, offsets);
    expect(more.ids).toEqual(upTo(10, 6));
    expect((await source.inspect(offsets, more.offsets)).recordsBetween).toBe(10);
    await deleteTo(topic, 1, 2n);
    await expect(allOf(source, offsets)).rejects.toMatchObject({
      code: "SOURCE_RANGE_GONE",
      message: expect.stringContaining("those from 0 on are wanted") as string,
      hint: expect.stringContaining("set the offset of partition 1 to 2") as string,
    });
    expect((await source.inspect(offsets, offsets)).available).toBe(false);
    expect((await allOf(source, { ...offsets, "1": 2 })).ids).toHaveLength(8);
  });

  test("records that go while they are read end the reading with SOURCE_RANGE_GONE", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    for (let from = 1; from <= 5; from++) await sendLarge(topic, 12);
    const source = await opened(topic, { values: "text" });
    const reading = source.read({ from: {}, batchRecords: 1, signal: never })[Symbol.asyncIterator]();
    await reading.next();
    await deleteTo(topic, 0, 55n);
    const rest = (async () => {
      for (let next = await reading.next(); next.done !== true; next = await reading.next());
    })();
    await expect(rest).rejects.toMatchObject({ code: "SOURCE_RANGE_GONE" });
  });

  test("offsets of a topic that was made anew, of another one, or past the end are SOURCE_MOVED", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    await send(topic, 1, 20);
    const { offsets } = await allOf(await opened(topic));
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker()] });
    await admin.deleteTopics({ topics: [topic] });
    await admin.close();
    await makeTopic(broker(), { topic, partitions: 1 });
    await send(topic, 100, 140);
    const source = await opened(topic);
    for (const from of [offsets, { "0": 10_000 }, { "7": 1 }, { "00": 1 }, { "0": { line: 3 } }])
      await expect(allOf(source, from)).rejects.toMatchObject({ code: "SOURCE_MOVED" });
    expect((await source.inspect({}, offsets)).available).toBe(false);
    // A number that somebody has set by hand is an offset.
    expect((await allOf(source, { "0": 31 })).ids).toEqual(upTo(10, 131));
  });

  test("with follow: true waits for what comes, and is woken by its signal", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    await send(topic, 1, 6, { partitions: 2 });
    const source = await opened(topic, { follow: true });
    const stop = new AbortController();
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { records } of source.read({ from: {}, batchRecords: 10, signal: stop.signal })) {
        seen.push(...records.map(({ value }) => value?.id ?? -1));
        if (seen.length === 6) void send(topic, 7, 12, { partitions: 2 });
        if (seen.length === 12) stop.abort();
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: "CANCELLED" });
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(12));
  });

  test("a value that is no JSON text is named by its place, and its content is not shown", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    await sendLarge(topic, 1);
    const refused = { code: "RECORD_INVALID", message: `The value of ${topic}[0] at offset 0 is not valid JSON` };
    await expect(allOf(await opened(topic))).rejects.toMatchObject(refused);
    const rows = kafkaSource<number>({ brokers: broker(), topic, row: ({ value }) => value?.length ?? 0 });
    onTestFinished(async () => await rows.close());
    await rows.open({ name: "in", clock: systemClock, signal: never });
    const lengths: number[] = [];
    for await (const { records } of rows.read({ from: {}, batchRecords: 5, signal: never })) lengths.push(...records);
    expect(lengths).toEqual([400_000]);
  });

  test("a topic that is not there is INPUT_MISSING", async () => {
    await expect(opened("no-such-topic")).rejects.toMatchObject({ code: "INPUT_MISSING" });
  });
});

/** Records of 400 KB, few of which come with one answer of the broker. */
async function sendLarge(topic: string, count: number): Promise<void> {
  const producer = new Producer({ clientId: "writer", bootstrapBrokers: [broker()], acks: -1 });
  for (let sent = 0; sent < count; sent++)
    await producer.send({ messages: [{ topic, partition: 0, value: Buffer.alloc(400_000, "x") }], acks: -1 });
  await producer.close();
}
