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
import { answersTo, copyOfAnswered, type KafkaCompensation, keylessOf, tombstoneOf } from "./answers.ts";
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
  /** True: what answers a record is its key, so that one without a key has no answer. */
  readonly #needsKeys: boolean;
  #opened: Opened | null = null;

  constructor(options: KafkaTopicOptions<Row>) {
    const { tombstone, compensate, key, record } = options;
    this.#options = options;
    this.#needsKeys = tombstone === true && compensate === undefined;
    if (this.#needsKeys && key === undefined && record === undefined) throw noKeys();
    this.#compensate = compensate ?? (tombstone === true ? tombstoneOf : null);
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
    if (this.#needsKeys) demandKeys(outgoing);
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
    const trimmed = isTrimmed || (await this.#isGone(answered));
    const stays = staysOf(topic, between.out);
    const unanswered = await this.#keyless(trimmed ? [] : between.out);
    const untouched = await this.#keyless(trimmed ? [] : between.again);
    const moves = [between.out, between.again].map((steps) => steps.map((step) => [step.position, step.ranges]));
    return {
      remove: 0,
      restore: countOf(answered) - countOf([unanswered, untouched]),
      foreign: [],
      foreignTotal: 0,
      trimmed,
      oldest: books.markAt(books.oldest),
      ...(stays === null ? {} : { stays }),
      ...(unanswered.ranges.length === 0 ? {} : { unanswered: countOf([unanswered]) }),
      fingerprint: sha256(JSON.stringify([position, books.position, books.oldest, moves])),
    };
  }

  async revertTo(
    mark: SinkMark,
    { epoch, token }: SinkWrite,
    { force }: { readonly force: boolean },
  ): Promise<SinkReverted> {
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
      const stays = staysOf(topic, between.out);
      if (this.#compensate === null && stays !== null) throw cannotUnsend(this.describe(), stays);
      const unanswered = force ? null : staysOf(topic, [await this.#keyless(between.out)]);
      if (unanswered !== null) throw cannotAnswer(this.describe(), unanswered);
      const { ranges, restored } = await this.#answer(sending, between);
      const reverted = {
        ...nothing,
        restored,
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

  /** Sends what answers the writes that go, and once more what was answered of the writes that come back. `restored` counts records that had an answer. */
  async #answer(
    sending: Sending,
    { out, again }: StepsBetween,
  ): Promise<{ readonly ranges: SentRange[]; readonly restored: number }> {
    const ranges: SentRange[] = [];
    let restored = 0;
    if (this.#compensate === null) return { ranges, restored };
    const { client, topic } = this.#open();
    const making = this.#making();
    for (const [steps, answerOf] of [
      [out, this.#compensate],
      [again, copyOfAnswered(this.#compensate)],
    ] as const) {
      let held: OutgoingRecord[] = [];
      for await (const { records, partition } of answersTo(client, topic, steps, answerOf)) {
        restored += 1;
        // An answer belongs behind what it answers, in the same partition.
        held.push(...records.map((record) => outgoingRecord({ partition, ...record }, making, 0, "an answer")));
        if (held.length < ANSWERS_AT_ONCE) continue;
        ranges.push(...(await sending.send(held)));
        held = [];
      }
      ranges.push(...(await sending.send(held)));
    }
    return { ranges, restored };
  }

  /** Where those records of these steps lie that have no answer, for want of a key. */
  async #keyless(steps: readonly SentStep[]): Promise<Pick<SentStep, "ranges">> {
    const { client, topic } = this.#open();
    return { ranges: this.#needsKeys ? await keylessOf(client, topic, steps) : [] };
  }

  /** True when the topic's retention has taken a record that would have to be read. */
  async #isGone(steps: readonly SentStep[]): Promise<boolean> {
    if (steps.length === 0) return false;
    const { client, topic } = this.#open();
    const earliest = await client.offsets(topic.topic, "earliest");
    return steps.some(({ ranges }) => ranges.some(([partition, first]) => first < Number(earliest[partition] ?? 0n)));
  }
}

function staysOf({ topic }: TopicFacts, steps: readonly Pick<SentStep, "ranges">[]): StayingRecords | null {
  const total = countOf(steps);
  return total === 0 ? null : { total, items: nameRanges(topic, steps) };
}

function noKeys(): MementoError {
  return new MementoError("INVALID_ARGUMENT", "kafkaTopic takes tombstone: true only with keys, which it deletes", {
    hint: "Give it key or record as well, or answer records without keys by compensate.",
  });
}

/** What could not be answered is not sent. */
function demandKeys(records: readonly OutgoingRecord[]): void {
  const index = records.findIndex(({ key }) => key === undefined);
  if (index === -1) return;
  throw new MementoError("RECORD_INVALID", `rows[${index}] has no key, by which tombstone: true would delete it`, {
    details: { item: `rows[${index}]` },
  });
}

function noTopic(topic: string, where: string): MementoError {
  return new MementoError("PLACE_MISSING", `There is no topic ${topic} at ${where}`, {
    hint: "Make the topic with the partitions and the retention that its readers need, or correct its name.",
  });
}

function cannotAnswer(where: string, stays: StayingRecords): MementoError {
  return new MementoError(
    "NOT_REVERTIBLE",
    `${stays.total} records without a key were sent to ${where} since, which no tombstone answers: ${someOf(stays)}`,
    { hint: "Force the sink by name to leave them there.", details: { ...stays } },
  );
}

const someOf = ({ items }: StayingRecords): string =>
  `${items.slice(0, 5).join(", ")}${items.length > 5 ? ", ..." : ""}`;

function cannotUnsend(where: string, { total, items }: StayingRecords): MementoError {
  return new MementoError(
    "NOT_REVERTIBLE",
    `${total} records were sent to ${where} since, and stay there: ${someOf({ total, items })}`,
    {
      hint: "Force the sink by name to leave them there, or give it tombstone: true or compensate, by which it answers them.",
      details: { total, items },
    },
  );
}
