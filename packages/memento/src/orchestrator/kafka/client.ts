import type * as Library from "@platformatic/kafka";
import type { Admin, Consumer, Producer, RecordsBatch } from "@platformatic/kafka";

import { loadPeer } from "../../store/optional-peer.ts";
import { brokersOf, clientOptions, type KafkaConnection } from "./connection.ts";
import { failureOf, isRefused, isUnknownTopic } from "./failure.ts";

/** A topic as the brokers know it. */
export interface TopicFacts {
  readonly topic: string;
  /** Given by the brokers when the topic was made; a topic that was deleted and made anew has another one. */
  readonly id: string;
  readonly partitions: number;
}

/** Which end of a partition: its first record, the place after its last one, or that before the first one whose transaction is open. */
export type OffsetKind = "earliest" | "latest" | "stable";

/** Records of one partition as they lie in its log: also those of aborted transactions, and the marks between them. */
export interface FetchedBatches {
  readonly batches: readonly RecordsBatch[];
  readonly aborted: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
}

const PEER = "@platformatic/kafka";
const RANGE = ">=2.12 <3";
const TIMESTAMPS = { earliest: -2n, latest: -1n, stable: -1n };
const TOPIC_RESOURCE = 2 as const;
const READ_COMMITTED = 1;
const READ_UNCOMMITTED = 0;
/** What one answer of a broker may hold; a single larger record is given whole. */
const FETCH_BYTES_MAX = 2_097_152;

/** The brokers, as sinks and sources use them. Everything that it throws is in our words. */
export class KafkaClient {
  /** `kafka://host:port,host:port`, for people. */
  readonly where: string;
  readonly #library: typeof Library;
  readonly #connection: KafkaConnection;
  readonly #consumer: Consumer;
  #admin: Admin | null = null;
  #isLetIn = false;

  private constructor(library: typeof Library, connection: KafkaConnection) {
    this.#library = library;
    this.#connection = connection;
    this.where = `kafka://${brokersOf(connection).join(",")}`;
    // It never joins a group: its offsets are kept in mementos.
    this.#consumer = new library.Consumer({ ...clientOptions(connection), groupId: "memento", autocommit: false });
  }

  /** Loads the client library; nothing is connected to before the first question. PEER_MISSING. */
  static async open(connection: KafkaConnection, purpose: string): Promise<KafkaClient> {
    return new KafkaClient(await loadPeer<typeof Library>(PEER, RANGE, purpose), connection);
  }

  /** What is known of a topic now; null where there is none. */
  async topic(topic: string): Promise<TopicFacts | null> {
    return await this.#ask(async () => {
      await this.#demandAccess();
      await this.#consumer.metadata({ topics: [], forceUpdate: true });
      try {
        // A topic that was made a moment ago is not known everywhere at once; more than a few questions would not help.
        const { topics } = await this.#consumer.metadata({ topics: [topic], forceUpdate: true, retries: 6 });
        const facts = topics.get(topic);
        if (facts === undefined) return null;
        // Without it the client would not learn of new leaders.
        if (!this.#consumer.topics.has(topic)) this.#consumer.topics.track(topic);
        return { topic, id: facts.id, partitions: facts.partitionsCount };
      } catch (error) {
        if (isUnknownTopic(error)) return null;
        throw error;
      }
    });
  }

  /** Makes a topic of one partition that keeps the last record of each key; one that is there already is left as it is. */
  async makeCompactedTopic(topic: string): Promise<void> {
    const configs = [
      { name: "cleanup.policy", value: "compact" },
      // What is overwritten goes soon: every opening reads the whole of it.
      { name: "segment.bytes", value: "8388608" },
      { name: "min.cleanable.dirty.ratio", value: "0.1" },
    ];
    await this.#ask(async () => {
      try {
        await this.#administrator().createTopics({ topics: [topic], partitions: 1, replicas: -1, configs });
      } catch (error) {
        if (!(error instanceof this.#library.MultipleErrors) || error.findBy("apiId", "TOPIC_ALREADY_EXISTS") === null)
          throw error;
      }
    });
  }

  /** What becomes of a topic's old records, as `compact`; null where the account may not know. */
  async cleanupPolicy(topic: string): Promise<string | null> {
    const name = "cleanup.policy";
    const resources = [{ resourceType: TOPIC_RESOURCE, resourceName: topic, configurationKeys: [name] }];
    return await this.#ask(async () => {
      try {
        const [found] = await this.#administrator().describeConfigs({ resources });
        return found?.configs.find((config) => config.name === name)?.value ?? null;
      } catch (error) {
        if (isRefused(error)) return null;
        throw error;
      }
    });
  }

  /** One end of every partition of a topic, in their order. */
  async offsets(topic: string, kind: OffsetKind): Promise<bigint[]> {
    const isolationLevel = kind === "stable" ? READ_COMMITTED : READ_UNCOMMITTED;
    const found = await this.#ask(
      async () => await this.#consumer.listOffsets({ topics: [topic], timestamp: TIMESTAMPS[kind], isolationLevel }),
    );
    return found.get(topic) ?? [];
  }

  /**
   * What a partition has from an offset on, as much as one answer holds; nothing where it is at its end. `stable` leaves out what
   * lies after the first open transaction, and names the aborted ones. SOURCE_RANGE_GONE outside of what the partition has.
   */
  async fetch(
    { topic, id }: TopicFacts,
    partition: number,
    from: bigint,
    stable: boolean,
    bytesMax = FETCH_BYTES_MAX,
  ): Promise<FetchedBatches> {
    return await this.#ask(async () => {
      const { topics } = await this.#consumer.metadata({ topics: [topic] });
      const wanted = {
        partition,
        currentLeaderEpoch: -1,
        fetchOffset: from,
        lastFetchedEpoch: -1,
        partitionMaxBytes: bytesMax,
      };
      const { responses } = await this.#consumer.fetch({
        node: topics.get(topic)?.partitions[partition]?.leader ?? 0,
        topics: [{ topicId: id, partitions: [wanted] }],
        isolationLevel: stable ? READ_COMMITTED : READ_UNCOMMITTED,
        maxWaitTime: 100,
        minBytes: 1,
        maxBytes: bytesMax,
      });
      const answers = responses.filter(({ topicId }) => topicId === id).flatMap(({ partitions }) => partitions);
      const answer = answers.find(({ partitionIndex }) => partitionIndex === partition);
      return { batches: answer?.records ?? [], aborted: answer?.abortedTransactions ?? [] };
    });
  }

  /**
   * A producer of transactions. The id of minus one asks the broker for the next epoch of the transactional id, whoever had it before:
   * that one is fenced from then on. It is not begun yet.
   */
  producer(transactionalId: string, timeoutMs: number): Producer {
    return new this.#library.Producer({
      ...clientOptions(this.#connection),
      transactionalId,
      idempotent: true,
      producerId: -1n,
      producerEpoch: -1,
      acks: -1,
      timeout: timeoutMs,
    });
  }

  /** The partition that Java's clients, and nearly all others, choose for a key. */
  partitionOf(key: Buffer, partitions: number): number {
    return (this.#library.murmur2(key) & 0x7fff_ffff) % partitions;
  }

  async close(): Promise<void> {
    await this.#consumer.close(true);
    await this.#admin?.close();
    this.#admin = null;
  }

  #administrator(): Admin {
    return (this.#admin ??= new this.#library.Admin(clientOptions(this.#connection)));
  }

  /** A refused account stays refused: the client library would try again for as long as for a broker that is starting. */
  async #demandAccess(): Promise<void> {
    if (this.#isLetIn) return;
    const visitor = new this.#library.Admin({ ...clientOptions(this.#connection), retries: 0 });
    try {
      await visitor.metadata({ topics: [] });
    } catch (error) {
      // Anything else may pass, and is waited for by the question itself.
      if (isRefused(error)) throw error;
    } finally {
      await visitor.close();
    }
    this.#isLetIn = true;
  }

  async #ask<Answer>(question: () => Promise<Answer>): Promise<Answer> {
    try {
      return await question();
    } catch (error) {
      throw failureOf(error, this.where);
    }
  }
}
