import { afterAll, describe } from "vitest";

import { requireEngine } from "../../harness/engines.ts";
import { kafkaIsThere, startKafka } from "../../harness/servers/kafka.ts";
import { kafkaTopicPlace } from "../../workers/kafka-topic.ts";
import { testCampaign } from "./campaign.ts";

const isThere = await requireEngine("Kafka", kafkaIsThere);
const server = isThere ? await startKafka() : null;
const workerModule = new URL("../../workers/kafka-topic.ts", import.meta.url);
const broker = (): string => server?.broker ?? "";

afterAll(async () => await server?.[Symbol.asyncDispose]());

describe.skipIf(!isThere)("kafkaTopic()", () => {
  testCampaign({
    name: "a Kafka topic",
    mode: "append",
    place: kafkaTopicPlace(broker, { answers: false }),
    workerModule,
    stays: true,
  });

  testCampaign({
    name: "a Kafka topic whose records are answered",
    mode: "append",
    place: kafkaTopicPlace(broker, { answers: true }),
    workerModule,
  });
});
