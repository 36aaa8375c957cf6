import type { KafkaConnection } from "../../kafka/connection.ts";
import type { KafkaBytesRow, KafkaRow, KafkaValues } from "./row.ts";

/** How a topic is read. */
export interface KafkaSourceOptions<Row = KafkaRow> extends KafkaConnection {
  readonly topic: string;
  /** True: it waits for new records until the run is stopped. By default it ends with what is there when reading begins. */
  readonly follow?: boolean;
  /** What values are; JSON text by default. */
  readonly values?: KafkaValues;
  /** Makes the rows, in place of `KafkaRow`s. The bytes are the broker's answer: copy what is kept. */
  readonly row?: (record: KafkaBytesRow) => Row;
  /** `1` by default. */
  readonly schemaVersion?: string;
}
