import type { Source } from "../source.ts";
import type { KafkaSourceOptions } from "./options.ts";
import type { KafkaRow } from "./row.ts";
import { TopicSource } from "./topic-source.ts";

/**
 * A source of the records of a topic of Apache Kafka: those of committed transactions, by partition, each once. Its offsets are in
 * the mementos, and in no consumer group. A place that retention has taken is SOURCE_RANGE_GONE, never skipped; a topic that was made
 * anew is SOURCE_MOVED. Needs the package `@platformatic/kafka`.
 */
export function kafkaSource<Row = KafkaRow>(options: KafkaSourceOptions<Row>): Source<Row> {
  return new TopicSource(options);
}

export type { KafkaConnection, KafkaSasl } from "../../kafka/connection.ts";
export type { KafkaSourceOptions } from "./options.ts";
export type { KafkaBytesRow, KafkaRow, KafkaValues } from "./row.ts";
