import type { KafkaConnection } from "../../kafka/connection.ts";
import type { KafkaCompensation } from "./answers.ts";
import type { KafkaBytes, KafkaRecord } from "./record.ts";

/** How a topic is written to. */
export interface KafkaTopicOptions<Row> extends KafkaConnection {
  /** It must be there: its partitions and its retention are its owner's. */
  readonly topic: string;
  /** The key of a row's record; by default records have none, and go to the partitions in turn. The value is the row as JSON text. */
  readonly key?: (row: Row) => KafkaBytes | null;
  /** The whole record of a row, in place of `key` and JSON text. */
  readonly record?: (row: Row) => KafkaRecord;
  /**
   * How a rollback answers each record that it cannot take back: the records that this gives are sent, in one transaction with the
   * note that the rollback was made. It is called again for the same record when a rollback is made again, so let it depend on nothing else.
   */
  readonly compensate?: KafkaCompensation;
  /** True: the answer is the record's key without a value, which deletes the key from a compacted topic. A row without a key is then RECORD_INVALID. */
  readonly tombstone?: boolean;
  /** The compacted topic that says what was sent by whom; `<topic>.memento` by default, made where it is missing. */
  readonly marksTopic?: string;
  /** How long the brokers let a transaction stand open, also one of a worker that stands still; default 60,000. */
  readonly transactionTimeoutMs?: number;
}
