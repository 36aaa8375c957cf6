import { MementoError } from "../../../core/errors.ts";
import type { StoredRecord } from "../../kafka/committed-records.ts";
import { jsonProblem, parseJson } from "../json/parse-json.ts";

/** A record of a topic, as a pipeline gets it where it does not make rows of its own. */
export interface KafkaRow<Value = unknown> {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970, as the topic keeps them. */
  readonly timestampMs: number;
  /** As text. */
  readonly key: string | null;
  /** Null: the key was deleted. */
  readonly value: Value | null;
  /** As text. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A record with its bytes as they are. */
export type KafkaBytesRow = Omit<StoredRecord, "offset"> & { readonly offset: number };

/** How values are read. */
export type KafkaValues = "json" | "text" | "bytes";

/** The row of a record. RECORD_INVALID, with its place, for a value that is no JSON text, or holds a number that cannot be kept. */
export function rowOf(topic: string, values: KafkaValues, record: KafkaBytesRow): KafkaRow {
  const { partition, offset, timestampMs, key, value, headers } = record;
  return {
    partition,
    offset,
    timestampMs,
    key: key?.toString("utf8") ?? null,
    value: value === null ? null : valueOf(topic, values, record, value),
    headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes?.toString("utf8") ?? ""])),
  };
}

function valueOf(topic: string, values: KafkaValues, { partition, offset }: KafkaBytesRow, value: Buffer): unknown {
  // The buffer is a part of the broker's whole answer: a copy keeps no more than itself alive.
  if (values === "bytes") return Uint8Array.from(value);
  const text = value.toString("utf8");
  if (values === "text") return text;
  try {
    return parseJson(text);
  } catch (error) {
    // The parser's message may quote the record.
    throw new MementoError(
      "RECORD_INVALID",
      `The value of ${topic}[${partition}] at offset ${offset} ${jsonProblem(error)}`,
      {
        hint: 'Read it with values: "text", or make rows of the bytes by `row`.',
        details: { topic, partition, offset },
      },
    );
  }
}
