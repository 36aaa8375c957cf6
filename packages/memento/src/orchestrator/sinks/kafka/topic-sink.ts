import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { KafkaClient, type TopicFacts } from "../../kafka/client.ts";
import { demandKept } from "../position-mark.ts";
import type {
  Sink,
  SinkContext,
  SinkInspection,
  SinkMark,
  SinkReverted,
  SinkSupports,
  SinkWrite,
  SinkWritten,
  StayingRecords,
} from "../sink.ts";
import { answersTo, copyOf, type KafkaCompensation, tombstoneOf } from "./answers.ts";
import { countOf, nameRanges, type SentRange, type SentStep, type StepsBetween } from "./books.ts";
import { MarksTopic } from "./marks-topic.ts";
import type { KafkaTopicOptions } from "./options.ts";
import { jsonOf, outgoingRecord, type OutgoingRecord, outgoingRecords, type RecordMaking } from "./record.ts";
import { TopicWriter } from "./topic-writer.ts";
import { type Sending, Transactions } from "./transactions.ts";

const TRANSACTION_TIMEOUT_MS = 60_000;
/** Answers that are held before they are sent. */
const ANSWERS_AT_ONCE = 2_000;

interface Opened {
  readonly client: KafkaClient;
  readonly topic: TopicFacts;
  readonly marks: MarksTopic;
  readonly transactions: Transactions;
  readonly writer: TopicWriter;
}

/** A sink into a Kafka topic; see `kafkaTopic`. */
export class TopicSink<Row> implements Sink<Row> {
  readonly kind = "kafka-topic";
  readonly supports: SinkSupports;
  readonly #options: KafkaTopicOptions<Row>;
  readonly #compensate: KafkaCompensation | null;
  #opened: Opened | null = null;

  constructor(options: KafkaTopicOptions<Row>) {
    this.#options = options;
    this.#compensate = options.compensate ?? (options.tombstone === true ? tombstoneOf : null);
    const revert = this.#compensate === null ? "none" : "compensate";
    this.supports = { revert, foreignChanges: false, tokens: true };
  }

  describe(): string {
    const { brokers, topic } = this.#options;
    return `topic ${topic} of ${[brokers].flat().join(",")}`;
  }

  async open({ timeline, name }: SinkContext): Promise<void> {
    const { topic: wanted, marksTopic = `${wanted}.memento` } = this.#options;
    const client = await KafkaClient.open(this.#options, "A sink into a Kafka topic");
    try {
      const topic = await client.topic(wanted);
      if (topic === null) throw noTopic(wanted, client.where);
      const marks = new MarksTopic(client, marksTopic, topic.id, timeline, name);
      // One for each timeline and sink, whoever works for it: only so can a broker tell who came later.
      const id = `memento-${sha256(JSON.stringify([topic.id, timeline, name]))}`;
      const { transactionTimeoutMs = TRANSACTION_TIMEOUT_MS } = this.#options;
      const transactions = new Transactions(client, id, transactionTimeoutMs);
      const writer = new TopicWriter(marks, transactions, this.describe());
      this.#opened = { client, topic, marks, transactions, writer };
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  async place(): Promise<string> {
    const { marks, topic } = this.#open();
    const { position } = await marks.refresh();
    return position === 0 ? "" : topic.id;
  }

  async fence(epoch: number): Promise<void> {
    await this.#open().writer.fence(epoch);
  }

  async mark(): Promise<SinkMark> {
    return (await this.#open().marks.refresh()).mark;
  }

  async write(rows: readonly Row[], { epoch, token, records = 0 }: SinkWrite): Promise<SinkWritten> {
    const { writer, marks } = this.#open();
    // What is no record is found before the brokers hear of any.
    const outgoing = outgoingRecords(rows, this.#making());
    return await writer.commit(epoch, async (sending, books, mayBeDone) => {
      const taken = books.takenAt(token);
      if (taken !== null) {
        const mark = books.markAt(taken);
        const written = mayBeDone ? { rows: rows.length, duplicate: false } : { rows: 0, duplicate: true };
        return { result: { ...written, mark }, notes: [] };
      }
      const position = books.position + 1;
      const step: SentStep = { position, token, records, back: null, ranges: await sending.send(outgoing) };
      const result = { rows: rows.length, duplicate: false, mark: { position, token } };
      return { result, notes: [marks.stepRecord(step, epoch)] };
    });
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { marks, topic } = this.#open();
    const books = await marks.refresh();
    const position = books.positionOf(mark, this.describe());
    const isTrimmed = position < books.oldest;
    const between = isTrimmed ? { out: [], again: [] } : books.between(position);
    const answered = this.#compensate === null ? [] : [...between.out, ...between.again];
    const stays = staysOf(topic, between);
    const moves = [between.out, between.again].map((steps) => steps.map((step) => [step.position, step.ranges]));
    return {
      remove: 0,
      restore: countOf(answered),
      foreign: [],
      foreignTotal: 0,
      trimmed: isTrimmed || (await this.#isGone(answered)),
      oldest: books.markAt(books.oldest),
      ...(stays === null ? {} : { stays }),
      fingerprint: sha256(JSON.stringify([position, books.position, books.oldest, moves])),
    };
  }

  async revertTo(mark: SinkMark, { epoch, token }: SinkWrite): Promise<SinkReverted> {
    const { writer, marks, topic } = this.#open();
    return await writer.commit(epoch, async (sending, books) => {
      const done = books.revertOf(token);
      if (done?.reverted !== undefined)
        return { result: { ...done.reverted, mark: books.markAt(done.position) }, notes: [] };
      const back = books.positionOf(mark, this.describe());
      demandKept(back, books.oldest, `sink into ${this.describe()}`);
      const nothing = { removed: 0, restored: 0, records: 0, kept: [] };
      if (books.position === 0) return { result: { ...nothing, mark: null }, notes: [] };
      const between = books.between(back);
      const stays = staysOf(topic, between);
      if (this.#compensate === null && stays !== null) throw cannotUnsend(this.describe(), stays);
      const ranges = await this.#answer(sending, between);
      const reverted = {
        ...nothing,
        restored: this.#compensate === null ? 0 : countOf([...between.out, ...between.again]),
        records: between.out.reduce((sum, step) => sum + step.records, 0),
        ...(stays === null ? {} : { stays }),
      };
      const position = books.position + 1;
      const step: SentStep = { position, token, records: 0, ranges, back, reverted };
      return { result: { ...reverted, mark: { position, token } }, notes: [marks.stepRecord(step, epoch)] };
    });
  }

  async trim(oldest: SinkMark): Promise<void> {
    const { marks, writer } = this.#open();
    const { epoch, oldest: before } = await marks.refresh();
    const position = marks.books.positionOf(oldest, this.describe());
    if (position <= before) return;
    await writer.commit(epoch, async (_sending, books) => {
      const needless = books.needless(position);
      return {
        result: undefined,
        notes: [marks.headRecord(epoch, position), ...needless.map((step) => marks.tombstone(step))],
      };
    });
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    await opened?.transactions.drop();
    await opened?.client.close();
  }

  #open(): Opened {
    if (this.#opened !== null) return this.#opened;
    throw new MementoError("STORE_CLOSED", `The sink into ${this.describe()} is not open`);
  }

  #making(): RecordMaking<Row> {
    const { record, key } = this.#options;
    const { client, topic } = this.#open();
    const byKey = (row: Row): { key: ReturnType<NonNullable<typeof key>>; value: string } => ({
      key: key?.(row) ?? null,
      value: jsonOf(row),
    });
    return {
      ...topic,
      recordOf: record ?? byKey,
      partitionOf: (bytes, partitions) => client.partitionOf(bytes, partitions),
    };
  }

  /** Sends what answers the writes that go, and once more the writes that come back. */
  async #answer(sending: Sending, { out, again }: StepsBetween): Promise<SentRange[]> {
    if (this.#compensate === null) return [];
    const { client, topic } = this.#open();
    const making = this.#making();
    const ranges: SentRange[] = [];
    for (const [steps, answerOf] of [
      [out, this.#compensate],
      [again, copyOf],
    ] as const) {
      let held: OutgoingRecord[] = [];
      for await (const { record, partition } of answersTo(client, topic, steps, answerOf)) {
        // An answer belongs behind what it answers, in the same partition.
        held.push(outgoingRecord({ partition, ...record }, making, 0, "an answer"));
        if (held.length < ANSWERS_AT_ONCE) continue;
        ranges.push(...(await sending.send(held)));
        held = [];
      }
      ranges.push(...(await sending.send(held)));
    }
    return ranges;
  }

  /** True when the topic's retention has taken a record that would have to be read. */
  async #isGone(steps: readonly SentStep[]): Promise<boolean> {
    if (steps.length === 0) return false;
    const { client, topic } = this.#open();
    const earliest = await client.offsets(topic.topic, "earliest");
    return steps.some(({ ranges }) => ranges.some(([partition, first]) => first < Number(earliest[partition] ?? 0n)));
  }
}

function staysOf({ topic }: TopicFacts, { out }: StepsBetween): StayingRecords | null {
  const total = countOf(out);
  return total === 0 ? null : { total, items: nameRanges(topic, out) };
}

function noTopic(topic: string, where: string): MementoError {
  return new MementoError("PLACE_MISSING", `There is no topic ${topic} at ${where}`, {
    hint: "Make the topic with the partitions and the retention that its readers need, or correct its name.",
  });
}

function cannotUnsend(where: string, { total, items }: StayingRecords): MementoError {
  return new MementoError(
    "NOT_REVERTIBLE",
    `${total} records were sent to ${where} since, and stay there: ${items.slice(0, 5).join(", ")}${items.length > 5 ? ", ..." : ""}`,
    {
      hint: "Force the sink by name to leave them there, or give it tombstone: true or compensate, by which it answers them.",
      details: { total, items },
    },
  );
}
