import { afterAll, describe, test } from "vitest";

import { requireEngine } from "../../../../../../test/harness/engines.ts";
import { kafkaIsThere, startKafka } from "../../../../../../test/harness/servers/kafka.ts";
import { kafkaTopicPlace } from "../../../../../../test/workers/kafka-topic.ts";
import { declareSinkTests } from "../../../testing/sink/kit.ts";
import { stopTests } from "../../../testing/sink/stops.ts";
import { writeTests } from "../../../testing/sink/writes.ts";

const isThere = await requireEngine("Kafka", kafkaIsThere);
const server = isThere ? await startKafka() : null;
const declareTest = test;

afterAll(async () => await server?.[Symbol.asyncDispose]());

// What the kit asks of rows that are taken back cannot be asked of records that stay: that is tested beside it.
describe.skipIf(!isThere)("kafkaTopic() whose records are answered", () => {
  const options = {
    test: (name: string, run: () => Promise<void>, timeoutMs = 30_000) => declareTest(name, run, 4 * timeoutMs),
    describe,
    mode: "append",
    compensates: true,
    place: kafkaTopicPlace(() => server?.broker ?? "", { answers: true }),
    badRow: { row: { id: "bad", amount: Number.NaN }, code: "UNSUPPORTED_VALUE" },
    workerModule: new URL("../../../../../../test/workers/kafka-topic.ts", import.meta.url),
    knownGaps: { "write() > takes a large batch": "records that are answered stay, and are not counted as removed" },
  } as const;
  declareSinkTests(options, [...writeTests, ...stopTests]);
});
