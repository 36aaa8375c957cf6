import { MementoError } from "../../../core/errors.ts";
import { jsonText } from "../json-text.ts";

/** Text as UTF-8, or bytes as they are. */
export type KafkaBytes = string | Uint8Array;

/** A record to send. */
export interface KafkaRecord {
  /** Records of one key go to one partition, in their order; null and left out spread over all. */
  readonly key?: KafkaBytes | null;
  /** Null deletes the key in a compacted topic. */
  readonly value: KafkaBytes | null;
  readonly headers?: Readonly<Record<string, KafkaBytes>>;
  /** In place of the one that the key decides. */
  readonly partition?: number;
}

/** A record as the client library takes it. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key?: Buffer;
  /** Left out: null. */
  readonly value?: Buffer;
  readonly headers: Map<Buffer, Buffer>;
}

/** How rows become records of a topic. */
export interface RecordMaking<Row> {
  readonly topic: string;
  readonly partitions: number;
  readonly recordOf: (row: Row) => KafkaRecord;
  /** The partition for a key. */
  readonly partitionOf: (key: Buffer, partitions: number) => number;
}

/** The records of a batch of rows. UNSUPPORTED_VALUE, naming the row, for what is no record; nothing was sent by then. */
export function outgoingRecords<Row>(rows: readonly Row[], making: RecordMaking<Row>): OutgoingRecord[] {
  return rows.map((row, index) => {
    const where = `rows[${index}]`;
    try {
      return outgoingRecord(making.recordOf(row), making, index, where);
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
      throw new MementoError("UNSUPPORTED_VALUE", `${where} cannot be made a record: ${cause.message}`, { cause });
    }
  });
}

/** One record; `turn` chooses the partition where it has no key. */
export function outgoingRecord(
  { key = null, value, headers = {}, partition }: KafkaRecord,
  { topic, partitions, partitionOf }: Omit<RecordMaking<never>, "recordOf">,
  turn: number,
  where: string,
): OutgoingRecord {
  const keyBytes = key === null ? null : bytesOf(key, `${where}.key`);
  const valueBytes = value === null ? null : bytesOf(value, `${where}.value`);
  const chosen = partition ?? (keyBytes === null ? turn % partitions : partitionOf(keyBytes, partitions));
  if (!Number.isInteger(chosen) || chosen < 0 || chosen >= partitions) {
    const last = partitions - 1;
    throw new MementoError(
      "UNSUPPORTED_VALUE",
      `${where} is for partition ${chosen}; the topic ${topic} has those from 0 to ${last}`,
    );
  }
  return {
    topic,
    partition: chosen,
    ...(keyBytes === null ? {} : { key: keyBytes }),
    ...(valueBytes === null ? {} : { value: valueBytes }),
    headers: new Map(
      Object.entries(headers).map(([name, bytes]) => [Buffer.from(name), bytesOf(bytes, `${where}.headers.${name}`)]),
    ),
  };
}

/** About what a record takes on the wire. */
export function bytesOfRecord({ key, value, headers }: OutgoingRecord): number {
  let bytes = 32 + (key?.length ?? 0) + (value?.length ?? 0);
  for (const [name, content] of headers) bytes += name.length + content.length;
  return bytes;
}

/** A row as JSON text. A TypeError, with the rest of a sentence, where JSON has no word for it. */
export function jsonOf(row: unknown): string {
  return jsonText(row, (text) => {
    throw new TypeError(`it ${text}`);
  });
}

function bytesOf(content: unknown, where: string): Buffer {
  if (typeof content === "string") return Buffer.from(content);
  if (content instanceof Uint8Array) return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  throw new MementoError("UNSUPPORTED_VALUE", `${where} is neither text nor bytes`);
}
