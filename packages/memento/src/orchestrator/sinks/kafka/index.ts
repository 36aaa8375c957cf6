import type { Sink } from "../sink.ts";
import type { KafkaTopicOptions } from "./options.ts";
import { TopicSink } from "./topic-sink.ts";

/**
 * A sink that sends rows to a topic of Apache Kafka, each once for readers with `read_committed`: data, token and epoch are one
 * transaction. What was sent cannot be taken back: a resumed run goes on behind it, and a rollback names what stays, or answers
 * it where the sink has `compensate` or `tombstone`. Needs the package `@platformatic/kafka`.
 */
export function kafkaTopic<Row = unknown>(options: KafkaTopicOptions<Row>): Sink<Row> {
  return new TopicSink(options);
}

export type { KafkaConnection, KafkaSasl } from "../../kafka/connection.ts";
export type { KafkaCompensation, SentRecord } from "./answers.ts";
export type { KafkaTopicOptions } from "./options.ts";
export type { KafkaBytes, KafkaRecord } from "./record.ts";
