import type { Producer } from "@platformatic/kafka";

import type { KafkaClient } from "../../kafka/client.ts";
import { isBrokerFenced, isKafkaError } from "../../kafka/failure.ts";
import type { SentRange } from "./books.ts";
import { bytesOfRecord, type OutgoingRecord } from "./record.ts";

/** Well below what brokers take by default in one go, which is a mebibyte for each partition. */
const SEND_BYTES_MAX = 524_288;
const SEND_RECORDS_MAX = 10_000;

type Transaction = NonNullable<Producer["transaction"]>;

/** A transaction under way. */
export interface Sending {
  /** Sends records, in their order; says where they came to lie. */
  send(records: readonly OutgoingRecord[]): Promise<SentRange[]>;
}

/** How a transaction ended that did not commit. */
export class TransactionLost extends Error {
  override readonly name = "TransactionLost";
  /** True: it may be committed all the same, for it is the commit's answer that was lost. */
  readonly mayBeCommitted: boolean;

  constructor(mayBeCommitted: boolean, cause: unknown) {
    super("The transaction was not acknowledged", { cause });
    this.mayBeCommitted = mayBeCommitted;
  }
}

/** One transactional id's producer. It is thrown away after every failure: the broker then ends what it had open, when the next one begins. */
export class Transactions {
  readonly #client: KafkaClient;
  readonly #id: string;
  readonly #timeoutMs: number;
  #producer: Producer | null = null;
  /** The transaction that seizing has begun; nothing was sent in it. */
  #begun: Transaction | null = null;

  constructor(client: KafkaClient, id: string, timeoutMs: number) {
    this.#client = client;
    this.#id = id;
    this.#timeoutMs = timeoutMs;
  }

  /** True while nobody is known to have seized the id since. */
  get isHeld(): boolean {
    return this.#producer !== null;
  }

  /**
   * Takes the id over: from now on the broker refuses every earlier producer of it, and what that one had under way is aborted,
   * or committed if its commit had come through.
   */
  async seize(): Promise<void> {
    await this.drop();
    this.#producer = this.#client.producer(this.#id, this.#timeoutMs);
    try {
      this.#begun = await this.#producer.beginTransaction({});
    } catch (error) {
      await this.drop();
      throw error;
    }
  }

  /** Does `work` in one transaction, where it sends anything. TransactionLost, with the client's error as cause, when the brokers refuse it or do not answer. */
  async run<Result>(work: (sending: Sending) => Promise<Result>): Promise<Result> {
    const producer = this.#producer;
    if (producer === null) throw new Error("the transactional id is not held");
    let transaction: Transaction | null = this.#begun;
    this.#begun = null;
    let [hasSent, isCommitting] = [false, false];
    try {
      transaction ??= await producer.beginTransaction({});
      const begun = transaction;
      const sendCounted = async (records: readonly OutgoingRecord[]): Promise<SentRange[]> => {
        hasSent ||= records.length > 0;
        return await sendAll(begun, records);
      };
      const result = await work({ send: sendCounted });
      isCommitting = hasSent;
      // The brokers know of no transaction before its first record: it stays for the next call.
      if (hasSent) await begun.commit();
      else this.#begun = begun;
      return result;
    } catch (error) {
      // A fenced producer has nothing left to abort.
      if (hasSent && !isCommitting && transaction !== null && !isBrokerFenced(error)) await abort(transaction);
      await this.drop();
      throw isKafkaError(error) ? new TransactionLost(isCommitting, error) : error;
    }
  }

  async drop(): Promise<void> {
    const producer = this.#producer;
    [this.#producer, this.#begun] = [null, null];
    await producer?.close(true);
  }
}

/** Lets readers past what was sent; where that fails too, the broker does it when the id is next seized, or by its time-out. */
async function abort(transaction: Transaction): Promise<void> {
  try {
    await transaction.abort();
  } catch (error) {
    if (!isKafkaError(error)) throw error;
  }
}

async function sendAll(transaction: Transaction, records: readonly OutgoingRecord[]): Promise<SentRange[]> {
  const ranges: SentRange[] = [];
  let part: OutgoingRecord[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (part.length > 0) ranges.push(...(await send(transaction, part)));
    [part, bytes] = [[], 0];
  };
  for (const record of records) {
    const size = bytesOfRecord(record);
    if (bytes + size > SEND_BYTES_MAX || part.length === SEND_RECORDS_MAX) await flush();
    part.push(record);
    bytes += size;
  }
  await flush();
  return joined(ranges);
}

async function send(transaction: Transaction, records: readonly OutgoingRecord[]): Promise<SentRange[]> {
  const counts = new Map<number, number>();
  for (const { partition } of records) counts.set(partition, (counts.get(partition) ?? 0) + 1);
  const { offsets = [] } = await transaction.send({ messages: [...records], acks: -1 });
  return offsets.map(({ partition, offset }) => [partition, Number(offset), counts.get(partition) ?? 0] as const);
}

/** Joins what touches: the records of one transaction mostly lie side by side. */
function joined(ranges: readonly SentRange[]): SentRange[] {
  const result: SentRange[] = [];
  for (const [partition, first, count] of ranges.toSorted((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = result.at(-1);
    if (last?.[0] === partition && last[1] + last[2] === first)
      result[result.length - 1] = [partition, last[1], last[2] + count];
    else result.push([partition, first, count]);
  }
  return result;
}
