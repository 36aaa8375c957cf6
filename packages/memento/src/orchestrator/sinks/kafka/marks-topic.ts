import type { RecordsBatch } from "@platformatic/kafka";

import { MementoError } from "../../../core/errors.ts";
import type { KafkaClient, TopicFacts } from "../../kafka/client.ts";
import { endOf, isAbort, isControl, isTransactional } from "../../kafka/committed-records.ts";
import { SentBooks, type SentStep } from "./books.ts";
import type { OutgoingRecord } from "./record.ts";

/** The record of a timeline's epoch and oldest mark; a step's record has its position as suffix. */
const HEAD = "head";

interface MarkRecord {
  readonly key: string;
  readonly value: Buffer | null;
}

interface HeadValue {
  readonly format: 1;
  readonly epoch: number;
  readonly oldest: number;
  readonly oldestToken: string;
}

interface StepValue {
  readonly format: 1;
  readonly epoch: number;
  readonly step: SentStep;
}

/**
 * The compacted topic beside a topic that says what each sink of each timeline has sent to it. Its records are sent in the
 * transactions of the data, and so are there exactly when the data is. It is read as it lies in the log, with the transactions'
 * ends: what is open of somebody else is in nobody's way.
 */
export class MarksTopic {
  readonly books = new SentBooks();
  readonly #client: KafkaClient;
  readonly #prefix: string;
  readonly #name: string;
  #facts: TopicFacts | null = null;
  #next = 0n;
  /** What was sent in transactions whose end has not been read, by producer. */
  readonly #open = new Map<bigint, MarkRecord[]>();

  /** `place`: the id of the topic that the data is in. */
  constructor(client: KafkaClient, name: string, place: string, timeline: string, sink: string) {
    this.#client = client;
    this.#name = name;
    this.#prefix = JSON.stringify([place, timeline, sink]);
  }

  /** Makes the topic where it is missing. */
  async ensure(): Promise<void> {
    if ((await this.#find()) !== null) return;
    await this.#client.makeCompactedTopic(this.#name);
    if ((await this.#find()) === null)
      throw new MementoError("PLACE_MISSING", `The topic ${this.#name} was made and is not there`);
  }

  /** Reads what has come since the last time, up to the end as of now. */
  async refresh(): Promise<SentBooks> {
    const facts = await this.#find();
    if (facts === null) return this.books;
    const [end = 0n] = await this.#client.offsets(this.#name, "latest");
    if (this.#next === 0n) [this.#next = 0n] = await this.#client.offsets(this.#name, "earliest");
    while (this.#next < end) {
      const { batches } = await this.#client.fetch(facts, 0, this.#next, false);
      for (const batch of batches) this.#take(batch);
    }
    return this.books;
  }

  /**
   * The highest epoch that anybody has sent anything by, as of the last look: that of a transaction whose end is not in the log yet
   * too. A commit is acknowledged before its end is there, and whoever sends had the timeline by then, come of it what may.
   */
  get highestEpoch(): number {
    const open = [...this.#open.values()].flat();
    return Math.max(this.books.epoch, ...open.map(({ value }) => (value === null ? 0 : contentOf(value).epoch)));
  }

  /** The record of one step. */
  stepRecord(step: SentStep, epoch: number): OutgoingRecord {
    return this.#record(String(step.position), { format: 1, epoch, step } satisfies StepValue);
  }

  /** The record of the epoch and of what was trimmed. */
  headRecord(epoch: number, oldest: number): OutgoingRecord {
    const oldestToken = this.books.tokenAt(oldest);
    return this.#record(HEAD, { format: 1, epoch, oldest, oldestToken } satisfies HeadValue);
  }

  /** What forgets a step. */
  tombstone({ position }: SentStep): OutgoingRecord {
    return this.#record(String(position), null);
  }

  /** Applies a record of ours whose transaction was committed. */
  apply({ key, value }: OutgoingRecord): void {
    this.#apply({ key: key?.toString("utf8") ?? "", value: value ?? null });
  }

  /** The topic as the brokers know it. ENGINE_UNSUITABLE where they would delete what it says, and a token would be taken again. */
  async #find(): Promise<TopicFacts | null> {
    if (this.#facts !== null) return this.#facts;
    const facts = await this.#client.topic(this.#name);
    const policy = facts === null ? null : await this.#client.cleanupPolicy(this.#name);
    if (policy !== null && policy !== "compact") throw notCompacted(this.#name, policy);
    this.#facts = facts;
    return facts;
  }

  #record(suffix: string, value: HeadValue | StepValue | null): OutgoingRecord {
    return {
      topic: this.#name,
      partition: 0,
      key: Buffer.from(`${this.#prefix}${suffix}`),
      ...(value === null ? {} : { value: Buffer.from(JSON.stringify(value)) }),
      headers: new Map(),
    };
  }

  #take(batch: RecordsBatch): void {
    if (endOf(batch) <= this.#next) return;
    this.#next = endOf(batch);
    if (isControl(batch)) {
      const ended = this.#open.get(batch.producerId) ?? [];
      this.#open.delete(batch.producerId);
      if (!isAbort(batch)) for (const record of ended) this.#apply(record);
      return;
    }
    const ours = batch.records
      .map(({ key, value }) => ({ key: key?.toString("utf8") ?? "", value: value ?? null }))
      .filter(({ key }) => key.startsWith(this.#prefix));
    if (ours.length === 0) return;
    if (isTransactional(batch)) {
      const open = this.#open.get(batch.producerId) ?? [];
      this.#open.set(batch.producerId, [...open, ...ours]);
    } else for (const record of ours) this.#apply(record);
  }

  #apply({ key, value }: MarkRecord): void {
    const suffix = key.slice(this.#prefix.length);
    if (value === null) {
      this.books.remove(Number(suffix));
      return;
    }
    const content = contentOf(value);
    if (content.format !== 1) {
      throw new MementoError(
        "FORMAT_UNKNOWN",
        `A record of the topic ${this.#name} is of format ${String(content.format)}`,
      );
    }
    if ("step" in content) this.books.add(content.step, content.epoch);
    else this.books.head(content.epoch, content.oldest, content.oldestToken);
  }
}

const contentOf = (value: Buffer): HeadValue | StepValue => JSON.parse(value.toString("utf8")) as HeadValue | StepValue;

function notCompacted(topic: string, policy: string): MementoError {
  return new MementoError(
    "ENGINE_UNSUITABLE",
    `The topic ${topic} has cleanup.policy=${policy}, by which the notes of what was sent would be deleted`,
    { hint: "Set its cleanup.policy to compact, or name another marksTopic for a topic that nothing was sent to yet." },
  );
}
