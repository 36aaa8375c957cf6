import { isMementoError, MementoError } from "../../../core/errors.ts";
import { KafkaClient, type TopicFacts } from "../../kafka/client.ts";
import { committedRecords, type StoredRecord } from "../../kafka/committed-records.ts";
import { brokersOf } from "../../kafka/connection.ts";
import { throwIfCancelled } from "../cancellation.ts";
import { checkBatchRecords } from "../file/file-source.ts";
import type { ReadOptions, Source, SourceBatch, SourceContext, SourceInspection, SourceOffsets } from "../source.ts";
import type { KafkaSourceOptions } from "./options.ts";
import { placeOf, strangePartitions, type TopicPlace, unreadPlace } from "./place.ts";
import { rowOf } from "./row.ts";

/** How long a source that follows its topic rests when there is nothing new. */
const REST_MS = 200;

interface Opened {
  readonly context: SourceContext;
  readonly client: KafkaClient;
  readonly topic: TopicFacts;
}

/** One partition while it is read. */
interface Reading {
  readonly partition: number;
  /** True: the offsets do not name it yet. */
  readonly isNew: boolean;
  place: TopicPlace;
  /** Where to fetch next; past marks of transactions that stand behind the last record. */
  next: bigint;
  /** Records that were fetched and are in no batch yet. */
  held: StoredRecord[];
}

/** A source of the records of a topic; see `kafkaSource`. */
export class TopicSource<Row> implements Source<Row> {
  readonly kind = "kafka-topic";
  readonly schemaVersion: string;
  readonly #options: KafkaSourceOptions<Row>;
  #opened: Opened | null = null;

  constructor(options: KafkaSourceOptions<Row>) {
    this.#options = options;
    this.schemaVersion = options.schemaVersion ?? "1";
  }

  describe(): string {
    return `topic ${this.#options.topic} of ${brokersOf(this.#options).join(",")}`;
  }

  async open(context: SourceContext): Promise<void> {
    const client = await KafkaClient.open(this.#options, "A source of a Kafka topic");
    try {
      const topic = await client.topic(this.#options.topic);
      if (topic === null) throw new MementoError("INPUT_MISSING", `There is no ${this.describe()}`);
      this.#opened = { context, client, topic };
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  async *read({ from, batchRecords, only, signal }: ReadOptions): AsyncGenerator<SourceBatch<Row>> {
    checkBatchRecords(batchRecords);
    const { client, topic, context } = this.#open();
    const readings = await this.#begin(from, only);
    // What retention takes of a partition from now on is missed, also where it is empty or waits for its turn. A batch that is read again brings its place along.
    if (only === undefined)
      for (const { partition, place } of readings.filter(({ isNew }) => isNew))
        yield { records: [], partition: String(partition), offset: { ...place } };
    let ends = await client.offsets(topic.topic, "stable");
    const [began, whole] = [sumOfNext(readings), sumOfEnds(readings, ends)];
    for (;;) {
      let isIdle = true;
      for (const reading of readings) {
        const end = ends[reading.partition] ?? 0n;
        for (;;) {
          throwIfCancelled(signal, this.describe());
          const records = await this.#fill(reading, end, batchRecords);
          if (records.length === 0) break;
          isIdle = false;
          const batch = this.#batch(reading, records);
          const share = (sumOfNext(readings) - began) / Math.max(1, whole - began);
          yield this.#options.follow === true ? batch : { ...batch, share: Math.min(1, share) };
        }
      }
      if (this.#options.follow !== true) return;
      if (isIdle) await rest(context, signal);
      throwIfCancelled(signal, this.describe());
      ends = await client.offsets(topic.topic, "stable");
    }
  }

  async inspect(from: SourceOffsets, to: SourceOffsets): Promise<SourceInspection> {
    const { client, topic } = this.#open();
    const [earliest, latest] = [
      await client.offsets(topic.topic, "earliest"),
      await client.offsets(topic.topic, "latest"),
    ];
    let records: number | null = 0;
    try {
      for (const offsets of [from, to]) this.#demandPartitions(offsets, topic);
      for (let partition = 0; partition < topic.partitions; partition++) {
        const start = placeOf(from, partition, this.describe());
        const end = placeOf(to, partition, this.describe());
        const unread = unreadPlace(from, topic.id) ?? (end === null ? null : { ...end, next: end.first, records: 0 });
        const place = start ?? unread;
        if (place === null) continue;
        this.#demandRange(topic, partition, place, earliest[partition] ?? 0n, latest[partition] ?? 0n);
        if (start === null && end === null) continue;
        const between = end === null ? -1 : end.records - place.records;
        // Set by hand, or told apart by no count: marks and compacted records lie between offsets too.
        if (between < 0 || end?.topic === null || place.topic === null) records = null;
        else if (records !== null) records += between;
      }
    } catch (error) {
      if (!isMementoError(error, "SOURCE_RANGE_GONE") && !isMementoError(error, "SOURCE_MOVED")) throw error;
      return { available: false, problem: error.message, recordsBetween: null };
    }
    return { available: true, problem: "", recordsBetween: records };
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    await opened?.client.close();
  }

  #open(): Opened {
    if (this.#opened !== null) return this.#opened;
    throw new MementoError("STORE_CLOSED", `The source of ${this.describe()} is not open`);
  }

  /** Where each partition is taken up. SOURCE_RANGE_GONE, SOURCE_MOVED. */
  async #begin(from: SourceOffsets, only: string | undefined): Promise<Reading[]> {
    const { client, topic } = this.#open();
    this.#demandPartitions(from, topic);
    const [earliest, latest] = [
      await client.offsets(topic.topic, "earliest"),
      await client.offsets(topic.topic, "latest"),
    ];
    const readings: Reading[] = [];
    for (let partition = 0; partition < topic.partitions; partition++) {
      if (only !== undefined && only !== String(partition)) continue;
      const first = Number(earliest[partition] ?? 0n);
      const read = placeOf(from, partition, this.describe());
      const known = read ?? (only === undefined ? unreadPlace(from, topic.id) : null);
      if (known !== null)
        this.#demandRange(topic, partition, known, earliest[partition] ?? 0n, latest[partition] ?? 0n);
      const place = { ...(known ?? { next: first, first, records: 0 }), topic: topic.id };
      readings.push({ partition, isNew: read === null, place, next: BigInt(place.next), held: [] });
    }
    return readings;
  }

  /** The next records of a partition, at most `count`; fewer only where it is at `end`. */
  async #fill(reading: Reading, end: bigint, count: number): Promise<StoredRecord[]> {
    const { client, topic } = this.#open();
    while (reading.held.length < count && reading.next < end) {
      try {
        const { records, next } = await committedRecords(client, topic, reading.partition, reading.next);
        // What came since belongs to the next look at the end.
        for (const record of records) if (record.offset < end) reading.held.push(record);
        reading.next = next < end ? next : end;
      } catch (error) {
        if (!isMementoError(error, "SOURCE_RANGE_GONE")) throw error;
        const earliest = await client.offsets(topic.topic, "earliest");
        throw rangeGone(topic.topic, reading.partition, Number(reading.next), earliest[reading.partition] ?? 0n);
      }
    }
    return reading.held.splice(0, count);
  }

  #batch(reading: Reading, records: readonly StoredRecord[]): SourceBatch<Row> {
    const { partition, place } = reading;
    // The place is right behind the last record, whatever marks come after it: read again, the batch ends at the same one.
    const next = Number(records.at(-1)?.offset ?? place.next - 1) + 1;
    reading.place = { ...place, next, records: place.records + records.length };
    const { row, values = "json" } = this.#options;
    const rows = records.map((record) => {
      const plain = { ...record, offset: Number(record.offset) };
      return row === undefined ? (rowOf(this.#options.topic, values, plain) as Row) : row(plain);
    });
    return { records: rows, partition: String(partition), offset: { ...reading.place } };
  }

  #demandPartitions(offsets: SourceOffsets, { topic, partitions }: TopicFacts): void {
    const strange = strangePartitions(offsets, partitions);
    if (strange.length === 0) return;
    throw new MementoError("SOURCE_MOVED", `${topic} has no partition ${strange.join(", ")}: it has ${partitions}`);
  }

  #demandRange(topic: TopicFacts, partition: number, place: TopicPlace, earliest: bigint, latest: bigint): void {
    const where = `${topic.topic}[${partition}]`;
    if (place.topic !== null && place.topic !== topic.id)
      throw new MementoError("SOURCE_MOVED", `The topic ${topic.topic} was deleted and made anew since it was read`);
    if (place.next < Number(earliest)) throw rangeGone(topic.topic, partition, place.next, earliest);
    if (place.next > Number(latest))
      throw new MementoError("SOURCE_MOVED", `${where} ends at offset ${latest}, and was read to ${place.next}`);
  }
}

function rangeGone(topic: string, partition: number, wanted: number, earliest: bigint): MementoError {
  return new MementoError(
    "SOURCE_RANGE_GONE",
    `${topic}[${partition}] has only the records from offset ${earliest} on, and those from ${wanted} on are wanted`,
    {
      hint: `Where nothing of those is missed, set the offset of partition ${partition} to ${earliest} by an edit.`,
      details: { topic, partition, wanted, earliest: Number(earliest) },
    },
  );
}

const sumOfNext = (readings: readonly Reading[]): number => readings.reduce((sum, { place }) => sum + place.next, 0);
const sumOfEnds = (readings: readonly Reading[], ends: readonly bigint[]): number =>
  readings.reduce((sum, { partition }) => sum + Number(ends[partition] ?? 0n), 0);

async function rest({ clock }: SourceContext, signal: AbortSignal): Promise<void> {
  await clock.sleep(REST_MS, signal).catch((error: unknown) => {
    // What woke it is seen by the caller.
    if (!signal.aborted) throw error;
  });
}
