import { ConfigResourceTypes, Kafka, logLevel } from "kafkajs";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { kafkaIsThere, startKafka } from "../../../../../../test/harness/servers/kafka.ts";
import { makeTopic, readTopic } from "../../../../../../test/workers/kafka-topic.ts";
import { systemClock } from "../../../core/ports.ts";
import type { Sink } from "../sink.ts";
import { kafkaTopic, type KafkaTopicOptions } from "./index.ts";

interface Row {
  readonly id: number;
}

const isThere = await requireEngine("Kafka", kafkaIsThere);
const server = isThere ? await startKafka() : null;
const broker = (): string => server?.broker ?? "";
const never = new AbortController().signal;

afterAll(async () => await server?.[Symbol.asyncDispose]());

async function opened(options: Partial<KafkaTopicOptions<Row>> & { topic: string }): Promise<Sink<Row>> {
  const sink = kafkaTopic<Row>({ brokers: broker(), ...options });
  onTestFinished(async () => await sink.close());
  await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: never });
  await sink.fence(1);
  return sink;
}

const by = (batch: number): { epoch: number; token: string } => ({ epoch: 1, token: `line:0:load:${batch}` });
const forced = { force: true };

/** Keys and values as they lie in the topic's one partition. */
async function textsIn(topic: string): Promise<string[]> {
  return (await readTopic(broker(), topic)).map(({ key, value }) => `${String(key)}=${String(value)}`);
}

describe.skipIf(!isThere)("tombstone: true", { timeout: 120_000 }, () => {
  test("is INVALID_ARGUMENT without keys, and a row without a key RECORD_INVALID: nothing could answer it", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    const refused = expect.objectContaining({ code: "INVALID_ARGUMENT" }) as Error;
    expect(() => kafkaTopic({ brokers: broker(), topic, tombstone: true })).toThrow(refused);
    const sink = await opened({ topic, tombstone: true, key: ({ id }) => (id === 2 ? null : String(id)) });
    await expect(sink.write([{ id: 1 }, { id: 2 }], by(1))).rejects.toMatchObject({
      code: "RECORD_INVALID",
      message: expect.stringContaining("rows[1]") as string,
    });
    expect(await textsIn(topic)).toEqual([]);
  });

  test("counts what it answers, refuses to go back past records without a key, and sends none of them twice", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    const plain = await opened({ topic, key: ({ id }) => (id > 2 ? null : String(id)) });
    const { mark } = await plain.write([{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }], by(1));
    await plain.close();
    const sink = await opened({ topic, tombstone: true, key: ({ id }) => String(id) });
    expect(await sink.inspect(null)).toMatchObject({ restore: 2, unanswered: 2, stays: { total: 4 } });
    await expect(sink.revertTo(null, { epoch: 1, token: "r1" }, { force: false })).rejects.toMatchObject({
      code: "NOT_REVERTIBLE",
      details: { total: 2, items: [`${topic}[0] offsets 2..3`] },
    });
    expect(await textsIn(topic)).toHaveLength(4);
    expect(await sink.revertTo(null, { epoch: 1, token: "r1" }, forced)).toMatchObject({ restored: 2 });
    expect((await textsIn(topic)).slice(4)).toEqual(["1=null", "2=null"]);
    expect(await sink.inspect(mark)).toMatchObject({ restore: 2 });
    expect(await sink.revertTo(mark, { epoch: 1, token: "r2" }, forced)).toMatchObject({ restored: 2 });
    expect((await textsIn(topic)).slice(6)).toEqual(['1={"id":1}', '2={"id":2}']);
  });

  test("what compensate leaves as it is counts as left, and is not sent again", async () => {
    const topic = await makeTopic(broker(), { partitions: 1 });
    const sink = await opened({
      topic,
      compensate: ({ offset }) => (offset === 0 ? [] : [{ key: "k", value: "undone" }, { value: "noted" }]),
    });
    const { mark } = await sink.write([{ id: 1 }, { id: 2 }], by(1));
    expect(await sink.revertTo(null, { epoch: 1, token: "r1" }, { force: false })).toMatchObject({ restored: 1 });
    expect(await sink.revertTo(mark, { epoch: 1, token: "r2" }, { force: false })).toMatchObject({ restored: 1 });
    expect((await textsIn(topic)).slice(2)).toEqual(["k=undone", "null=noted", 'null={"id":2}']);
  });
});

describe.skipIf(!isThere)("a topic of notes", { timeout: 120_000 }, () => {
  test.each(["delete", "compact,delete"])(
    "with cleanup.policy=%s is refused by name, by writes and by plans",
    async (policy) => {
      const topic = await makeTopic(broker(), { partitions: 1 });
      const admin = new Kafka({ clientId: "test", brokers: [broker()], logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      onTestFinished(async () => await admin.disconnect());
      const configEntries = [{ name: "cleanup.policy", value: policy }];
      await admin.createTopics({ topics: [{ topic: `${topic}.memento`, numPartitions: 1, configEntries }] });
      const sink = kafkaTopic<Row>({ brokers: broker(), topic, key: ({ id }) => String(id) });
      onTestFinished(async () => await sink.close());
      await sink.open({ timeline: "one", name: "out", clock: systemClock, signal: never });
      const refused = {
        code: "ENGINE_UNSUITABLE",
        message: expect.stringContaining(`${topic}.memento has cleanup.policy=${policy}`) as string,
      };
      await expect(sink.write([{ id: 1 }], by(1))).rejects.toMatchObject(refused);
      await expect(sink.inspect(null)).rejects.toMatchObject(refused);
      await expect(sink.fence(1)).rejects.toMatchObject(refused);
      await admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: ConfigResourceTypes.TOPIC,
            name: `${topic}.memento`,
            configEntries: [{ name: "cleanup.policy", value: "compact" }],
          },
        ],
      });
      await vi.waitFor(async () => await sink.fence(1), { timeout: 30_000, interval: 100 });
      expect(await sink.write([{ id: 1 }], by(1))).toMatchObject({ duplicate: false });
    },
  );
});

test.skipIf(!isThere).each<[string, unknown]>([
  ["NaN", { id: Number.NaN }],
  ["a map", { id: 1, map: new Map([[1, 2]]) }],
  ["bytes", { id: 1, bytes: Uint8Array.of(1, 2) }],
])("%s has no JSON text: the row is refused by name, and nothing of the batch is sent", async (_name, row) => {
  const topic = await makeTopic(broker(), { partitions: 1 });
  const sink = await opened({ topic });
  const refused = { code: "UNSUPPORTED_VALUE", message: expect.stringContaining("rows[1]") as string };
  await expect(sink.write([{ id: 1 }, row as Row], by(1))).rejects.toMatchObject(refused);
  expect(await textsIn(topic)).toEqual([]);
});
