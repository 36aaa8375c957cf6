import { Admin } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { KAFKA_ACCOUNT, kafkaIsThere, startKafka } from "../../../../../../test/harness/servers/kafka.ts";
import { makeTopic, readTopic } from "../../../../../../test/workers/kafka-topic.ts";
import { isMementoError } from "../../../core/errors.ts";
import { systemClock } from "../../../core/ports.ts";
import { KafkaClient } from "../../kafka/client.ts";
import type { Sink } from "../sink.ts";
import { kafkaTopic, type KafkaTopicOptions } from "./index.ts";
import { MarksTopic } from "./marks-topic.ts";
import { Transactions } from "./transactions.ts";

interface Row {
  readonly id: number;
  readonly text?: string;
}

const isThere = await requireEngine("Kafka", kafkaIsThere);
const server = isThere ? await startKafka() : null;
const broker = (): string => server?.broker ?? "";
const never = new AbortController().signal;

afterAll(async () => await server?.[Symbol.asyncDispose]());

async function opened(
  options: Partial<KafkaTopicOptions<Row>> & { topic: string },
  timeline = "one",
): Promise<Sink<Row>> {
  const sink = kafkaTopic<Row>({ brokers: broker(), key: ({ id }) => String(id), ...options });
  onTestFinished(async () => await sink.close());
  await sink.open({ timeline, name: "out", clock: systemClock, signal: never });
  return sink;
}

const by = (batch: number, epoch = 1): { epoch: number; token: string; records: number } => ({
  epoch,
  token: `line:0:load:${batch}`,
  records: 10,
});

async function idsIn(topic: string): Promise<number[]> {
  const records = await readTopic(broker(), topic);
  const rows = records.flatMap(({ value }) => (value === null ? [] : [JSON.parse(value.toString()) as Row]));
  return rows.map(({ id }) => id).toSorted((a, b) => a - b);
}

const rows = (from: number, to: number): Row[] =>
  Array.from({ length: to - from + 1 }, (_none, at) => ({ id: from + at }));
const ids = (from: number, to: number): number[] => rows(from, to).map(({ id }) => id);

/** What another client makes of a topic, with read_committed. */
async function readByKafkajs(topic: string, count: number): Promise<string[]> {
  const kafka = new Kafka({ clientId: "reader", brokers: [broker()], logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: `reader-${topic}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const found: string[] = [];
  const all = Promise.withResolvers<void>();
  await consumer.run({
    eachMessage: async ({ message }) => {
      found.push(message.value?.toString() ?? "null");
      if (found.length >= count) all.resolve();
    },
  });
  await all.promise;
  await consumer.disconnect();
  return found;
}

describe.skipIf(!isThere)("kafkaTopic()", { timeout: 180_000 }, () => {
  test("sends rows that another client reads with read_committed, by key in one partition and in their order", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({ topic, key: ({ id }) => `customer ${id % 7}` });
    await sink.fence(1);
    for (let batch = 0; batch < 5; batch++) await sink.write(rows(batch * 20, batch * 20 + 19), by(batch + 1));
    const found = (await readByKafkajs(topic, 100)).map((text) => (JSON.parse(text) as Row).id);
    expect(found.toSorted((a, b) => a - b)).toEqual(ids(0, 99));
    for (let key = 0; key < 7; key++) {
      const ofKey = found.filter((id) => id % 7 === key);
      expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
    }
    const partitions = new Map<string, Set<number>>();
    for (const { key, partition } of await readTopic(broker(), topic)) {
      const name = key?.toString() ?? "";
      partitions.set(name, (partitions.get(name) ?? new Set()).add(partition));
    }
    expect([...partitions.values()].map(({ size }) => size)).toEqual(Array.from({ length: 7 }, () => 1));
  });

  test("chooses the partition of a key as other clients do, also where there are three", async () => {
    const topic = await makeTopic(broker());
    const kafka = new Kafka({ clientId: "writer", brokers: [broker()], logLevel: logLevel.NOTHING });
    const producer = kafka.producer({ createPartitioner: (await import("kafkajs")).Partitioners.DefaultPartitioner });
    await producer.connect();
    const sent = Array.from({ length: 40 }, (_none, id) => ({
      key: String(id),
      value: JSON.stringify({ id: id + 100 }),
    }));
    await producer.send({ topic, messages: sent });
    await producer.disconnect();
    const sink = await opened({ topic });
    await sink.write(rows(0, 39), by(1));
    const places = new Map<string, Set<number>>();
    for (const { key, partition } of await readTopic(broker(), topic)) {
      const name = key?.toString() ?? "";
      places.set(name, (places.get(name) ?? new Set()).add(partition));
    }
    expect([...places.values()].every(({ size }) => size === 1)).toBe(true);
    expect(places.size).toBe(40);
  });

  test("sends whole records where they are given: headers, no key, no value, a partition", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({
      topic,
      record: ({ id }) =>
        id === 1
          ? { value: Buffer.from([0, 255]), headers: { é: "ü", bytes: Buffer.from([1]) }, partition: 2 }
          : { key: "gone", value: null },
    });
    await sink.write([{ id: 1 }, { id: 2 }], by(1));
    const found = await readTopic(broker(), topic);
    const first = found.find(({ partition, key }) => partition === 2 && key === null);
    expect([...(first?.value ?? [])]).toEqual([0, 255]);
    expect(first?.headers["é"]?.toString()).toBe("ü");
    expect([...(first?.headers["bytes"] ?? [])]).toEqual([1]);
    expect(found.find(({ key }) => key?.toString() === "gone")?.value).toBeNull();
  });

  test("refuses a batch with a row that is no record, naming it, and sends nothing of it", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({ topic });
    const bad = [{ id: 1 }, { id: Number.NaN }];
    const refused = { code: "UNSUPPORTED_VALUE", message: expect.stringContaining("rows[1]") as string };
    await expect(sink.write(bad, by(1))).rejects.toMatchObject(refused);
    const large = [{ id: 1 }, { id: 2, text: "x".repeat(3_000_000) }];
    await expect(sink.write(large, by(1))).rejects.toMatchObject({ code: "RECORD_INVALID" });
    expect(await sink.place()).toBe("");
    await sink.write([{ id: 3 }], by(1));
    expect(await idsIn(topic)).toEqual([3]);
  });

  test("counts a token once, across a takeover and a new opening", async () => {
    const topic = await makeTopic(broker());
    const old = await opened({ topic });
    const { mark } = await old.write(rows(1, 5), by(1));
    expect(await old.write(rows(1, 5), by(1))).toEqual({ rows: 0, duplicate: true, mark });
    const next = await opened({ topic });
    await next.fence(2);
    expect(await next.write(rows(1, 5), by(1, 2))).toEqual({ rows: 0, duplicate: true, mark });
    expect(await idsIn(topic)).toEqual(ids(1, 5));
    expect(mark).toEqual({ position: 1, token: "line:0:load:1" });
  });

  test("a worker that was taken over is refused with FENCED, and a lower epoch does not disturb the higher one", async () => {
    const topic = await makeTopic(broker());
    const [old, next] = [await opened({ topic }), await opened({ topic })];
    await old.fence(3);
    await old.write(rows(1, 2), by(1, 3));
    await next.fence(4);
    for (const call of [
      async () => await old.write(rows(3, 4), by(2, 3)),
      async () => await old.write(rows(1, 2), by(1, 3)),
      async () => await old.revertTo(null, { epoch: 3, token: "r" }, { force: false }),
      async () => await old.fence(3),
    ])
      await expect(call()).rejects.toMatchObject({ code: "FENCED" });
    await next.write(rows(5, 6), by(2, 4));
    expect(await idsIn(topic)).toEqual([1, 2, 5, 6]);
  });

  test("a worker is refused what was sent before as soon as another one has sent by a higher epoch, committed or not", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({ topic });
    const { mark } = await sink.write([{ id: 1 }], by(1));
    const client = await KafkaClient.open({ brokers: broker() }, "A test");
    onTestFinished(async () => await client.close());
    const marks = new MarksTopic(client, `${topic}.memento`, await sink.place(), "one", "out");
    const transactions = new Transactions(client, `other-${topic}`, 60_000);
    onTestFinished(async () => await transactions.drop());
    await transactions.seize();
    expect(await sink.write([{ id: 1 }], by(1))).toEqual({ rows: 0, duplicate: true, mark });
    await transactions.run(async ({ send }) => {
      await send([marks.headRecord(2, 0)]);
      await expect(sink.write([{ id: 1 }], by(1))).rejects.toMatchObject({ code: "FENCED" });
    });
  });

  test("what a worker has open when it is taken over is aborted, and its late commit is refused", async () => {
    const topic = await makeTopic(broker());
    const client = await KafkaClient.open({ brokers: broker() }, "A test");
    onTestFinished(async () => await client.close());
    const [zombie, next] = [new Transactions(client, "the-id", 60_000), new Transactions(client, "the-id", 60_000)];
    onTestFinished(async () => await zombie.drop());
    onTestFinished(async () => await next.drop());
    const record = { topic, partition: 0, value: Buffer.from('{"id":1}'), headers: new Map<Buffer, Buffer>() };
    const late = zombie.seize().then(
      async () =>
        await zombie.run(async ({ send }) => {
          await send([record]);
          await next.seize();
          await next.run(async (other) => await other.send([{ ...record, value: Buffer.from('{"id":2}') }]));
        }),
    );
    await expect(late).rejects.toMatchObject({ name: "TransactionLost", mayBeCommitted: true });
    expect(await idsIn(topic)).toEqual([2]);
    expect(await readByKafkajs(topic, 1)).toEqual(['{"id":2}']);
  });

  test("aborted transactions of one producer are read by nobody, however many lie in one answer", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    const client = await KafkaClient.open({ brokers: broker() }, "A test");
    onTestFinished(async () => await client.close());
    const transactions = new Transactions(client, `many-${topic}`, 60_000);
    onTestFinished(async () => await transactions.drop());
    for (let id = 1; id <= 6; id++) {
      if (!transactions.isHeld) await transactions.seize();
      const value = Buffer.from(JSON.stringify({ id }));
      const sending = transactions.run(async ({ send }) => {
        await send([{ topic, partition: 0, value, headers: new Map<Buffer, Buffer>() }]);
        if (id % 3 !== 0) throw new Error("given up");
      });
      if (id % 3 === 0) await sending;
      else await expect(sending).rejects.toThrow("given up");
    }
    expect(await idsIn(topic)).toEqual([3, 6]);
  });

  test("a broker that is killed and comes back loses nothing and doubles nothing", { timeout: 600_000 }, async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({ topic, timeoutMs: 60_000 });
    await sink.fence(1);
    const restart = (async () => {
      await new Promise((resolve) => void setTimeout(resolve, 300));
      await server?.kill();
      await server?.start();
    })();
    for (let batch = 1; batch <= 40; batch++) await writeUntilDone(sink, batch);
    await restart;
    for (let batch = 41; batch <= 60; batch++) await writeUntilDone(sink, batch);
    expect(await idsIn(topic)).toEqual(ids(10, 609));
  });
});

/** As a resumed run does: the same token until it is taken. */
async function writeUntilDone(sink: Sink<Row>, batch: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await sink.write(rows(batch * 10, batch * 10 + 9), by(batch));
      return;
    } catch (error) {
      if (!isMementoError(error) || !error.retryable || tries === 5) throw error;
    }
  }
}

describe.skipIf(!isThere)("a topic's rollback", { timeout: 180_000 }, () => {
  test("names exactly what stays, by partition and offsets, and takes nothing back", async () => {
    const topic = await makeTopic(broker(), { partitions: 2 });
    const sink = await opened({ topic, record: ({ id }) => ({ value: String(id), partition: id % 2 }) });
    const { mark } = await sink.write(rows(1, 4), by(1));
    await sink.write(rows(5, 9), by(2));
    await sink.write(rows(10, 10), by(3));
    const sent = (await readTopic(broker(), topic)).filter(({ value }) => Number(value?.toString()) >= 5);
    const { stays, restore, remove } = await sink.inspect(mark);
    expect({ restore, remove, total: stays?.total }).toEqual({ restore: 0, remove: 0, total: 6 });
    const named = (stays?.items ?? []).flatMap((item) => {
      const [, partition, first, last] = /\[(\d)\] offsets? (\d+)(?:\.\.(\d+))?$/u.exec(item) ?? [];
      const count = Number(last ?? first) - Number(first) + 1;
      return Array.from({ length: count }, (_none, at) => `${partition}/${Number(first) + at}`);
    });
    expect(named.toSorted()).toEqual(sent.map(({ partition, offset }) => `${partition}/${offset}`).toSorted());
    const refused = { code: "NOT_REVERTIBLE", message: expect.stringContaining("6 records") as string };
    await expect(sink.revertTo(mark, { epoch: 1, token: "r" }, { force: false })).rejects.toMatchObject(refused);
    const { mark: now } = await sink.write([], by(4));
    expect((await sink.inspect(now)).stays).toBeUndefined();
  });

  test("with tombstone: true, keys that were sent since are deleted, once, and come back when it is itself taken back", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({ topic, tombstone: true });
    await sink.write(rows(1, 3), by(1));
    const { mark: late } = await sink.write(rows(4, 6), by(2));
    const early = { position: 1, token: "line:0:load:1" };
    const back = await sink.revertTo(early, { epoch: 1, token: "r1" }, { force: false });
    expect(back).toMatchObject({ removed: 0, restored: 3, records: 10, stays: { total: 3 } });
    expect(await sink.revertTo(early, { epoch: 1, token: "r1" }, { force: false })).toEqual(back);
    expect(await tableOf(topic)).toEqual([1, 2, 3]);
    expect((await sink.inspect(early)).restore).toBe(0);
    expect(await sink.revertTo(late, { epoch: 1, token: "r2" }, { force: false })).toMatchObject({ restored: 3 });
    expect(await tableOf(topic)).toEqual(ids(1, 6));
    expect((await sink.write(rows(4, 6), by(2))).duplicate).toBe(true);
  });

  test("with compensate, answers go behind the records that they answer, and a batch that was answered may be sent again", async () => {
    const topic = await makeTopic(broker());
    const sink = await opened({
      topic,
      compensate: ({ key, value, offset }) => [
        { key, value: JSON.stringify({ id: -(JSON.parse(Buffer.from(value ?? []).toString()) as Row).id, offset }) },
      ],
    });
    await sink.write(rows(1, 50), by(1));
    await sink.revertTo(null, { epoch: 1, token: "r1" }, { force: false });
    expect((await sink.write(rows(1, 2), by(1))).duplicate).toBe(false);
    const found = await idsIn(topic);
    expect(found.reduce((sum, id) => sum + id, 0)).toBe(3);
    expect(found).toHaveLength(102);
  });

  test("says TRIMMED where retention has taken what is to be answered, and for marks before the oldest", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    const sink = await opened({ topic, tombstone: true });
    const first = await sink.write(rows(1, 5), by(1));
    const second = await sink.write(rows(6, 8), by(2));
    expect((await sink.inspect(null)).trimmed).toBe(false);
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker()] });
    await admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 0, offset: 3n }] }] });
    await admin.close();
    expect((await sink.inspect(null)).trimmed).toBe(true);
    expect((await sink.inspect(first.mark)).trimmed).toBe(false);
    await sink.trim(second.mark);
    expect(await sink.inspect(first.mark)).toMatchObject({ trimmed: true, oldest: second.mark });
    await expect(sink.revertTo(first.mark, { epoch: 1, token: "r" }, { force: false })).rejects.toMatchObject({
      code: "TRIMMED",
    });
    const again = await opened({ topic, tombstone: true });
    expect(await again.mark()).toEqual(second.mark);
    expect(await again.place()).not.toBe("");
  });

  test("timelines have marks, tokens and epochs of their own, and a topic that was made anew is another place", async () => {
    const topic = await makeTopic(broker());
    const [one, two] = [await opened({ topic }), await opened({ topic }, "two")];
    await one.fence(9);
    await one.write(rows(1, 2), by(1, 9));
    expect([await two.mark(), await two.place()]).toEqual([null, ""]);
    expect((await two.write(rows(3, 4), by(1))).duplicate).toBe(false);
    expect(await two.place()).toBe(await one.place());
    const place = await one.place();
    const admin = new Admin({ clientId: "test", bootstrapBrokers: [broker()] });
    await admin.deleteTopics({ topics: [topic] });
    await admin.close();
    await makeTopic(broker(), { topic });
    const anew = await opened({ topic });
    expect(await anew.mark()).toBeNull();
    await anew.write(rows(1, 2), by(1, 9));
    expect(await anew.place()).not.toBe(place);
  });
});

/** The ids whose key's last record has a value, as a compacted topic's readers see it. */
async function tableOf(topic: string): Promise<number[]> {
  const last = new Map<string, boolean>();
  for (const { key, value } of await readTopic(broker(), topic)) last.set(key?.toString() ?? "", value !== null);
  return [...last].flatMap(([key, hasValue]) => (hasValue ? [Number(key)] : [])).toSorted((a, b) => a - b);
}

describe.skipIf(!isThere)("opening", { timeout: 120_000 }, () => {
  test("signs in, and never shows a password", async () => {
    const topic = await makeTopic(broker());
    const sasl = { mechanism: "SCRAM-SHA-256", ...KAFKA_ACCOUNT } as const;
    const brokers = server?.saslBroker ?? "";
    const sink = await opened({ topic, brokers, sasl });
    await sink.write(rows(1, 2), by(1));
    expect(await idsIn(topic)).toEqual([1, 2]);
    for (const mechanism of ["PLAIN", "SCRAM-SHA-256"] as const) {
      const wrong = opened({ topic, brokers, sasl: { mechanism, username: "test", password: "hunter2-secret" } });
      const error: unknown = await wrong.catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "ACCESS_DENIED" });
      expect(String((error as Error).stack) + JSON.stringify(error)).not.toContain("hunter2-secret");
    }
  });

  test.each([
    ["a topic that is not there", { topic: "no-such-topic" }, "PLACE_MISSING"],
    ["a broker that does not answer", { topic: "t", brokers: "127.0.0.1:9", timeoutMs: 300 }, "STORE_UNREACHABLE"],
    ["an address that is none", { topic: "t", brokers: "http://user:secret@host:1" }, "INVALID_ARGUMENT"],
  ])("%s is refused by name", async (_name, options, code) => {
    const error: unknown = await opened(options).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(String(error)).not.toContain("secret");
  });
});
