import type { Collection, Db } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { systemClock, systemRandom, type Random } from "../../core/ports.ts";
import type { EngineFacts, StoreMeta } from "../store.ts";
import { Committer, type Change } from "./committer.ts";
import type { CommitMode, MongodbConnection } from "./connection.ts";
import { Contents, type ChunkDocument, type ContentWants } from "./contents.ts";
import type { Stowed, StoreDocument } from "./documents.ts";
import { failureOf } from "./failure.ts";
import type { MongodbStoreOptions } from "./options.ts";
import { COLLECTIONS, readFacts } from "./schema.ts";
import { Sessions } from "./sessions.ts";
import { Tail, type StoreAccess } from "./tail.ts";
import { SingleDocumentWay, TransactionWay, type CommitWay } from "./ways.ts";

/** An open store's collections, and how they are read and changed. Every refusal of the server is told in our words. */
export class MongodbEngine {
  readonly access: StoreAccess;
  readonly tail: Tail;
  readonly contents: Contents;
  readonly mode: CommitMode;
  readonly random: Random;
  readonly prefix: string;
  readonly #connection: MongodbConnection;
  readonly #way: CommitWay;
  readonly #committer: Committer;
  #meta: StoreMeta | null = null;
  #closing: Promise<void> | null = null;

  constructor(connection: MongodbConnection, prefix: string, options: MongodbStoreOptions) {
    const { commandTimeoutMs: maxTimeMS = 30_000, clock = systemClock, random = systemRandom } = options;
    const { database, client, mode, replicated, where } = connection;
    const level = replicated ? ("majority" as const) : ("local" as const);
    const settings = {
      readPreference: "primary" as const,
      readConcern: { level },
      writeConcern: { w: "majority" as const, journal: true },
      ignoreUndefined: true,
    };
    const documents: Collection<StoreDocument> = database.collection(`${prefix}${COLLECTIONS.documents}`, settings);
    const chunks: Collection<ChunkDocument> = database.collection(`${prefix}${COLLECTIONS.chunks}`, settings);
    this.#connection = connection;
    this.mode = mode;
    this.prefix = prefix;
    this.random = random;
    this.access = { documents, where, maxTimeMS, clock, writer: `${randomText(random, 12)}.` };
    this.tail = new Tail(this.access);
    this.contents = new Contents(chunks, random, maxTimeMS);
    const sessions = mode === "transaction" ? new Sessions(this.access, database) : null;
    this.#way =
      sessions === null ? new SingleDocumentWay(this.access) : new TransactionWay(this.access, client, sessions);
    this.#committer = new Committer(this.access, this.tail, this.#way, sessions, random);
  }

  get database(): Db {
    return this.#connection.database;
  }

  /** The store's facts; null for a place that holds no store yet. */
  async meta(): Promise<StoreMeta | null> {
    this.checkOpen();
    this.#meta ??= await this.ask(async () => await readFacts(this.access));
    return this.#meta;
  }

  /** The store's facts, or NOT_A_STORE. */
  async facts(): Promise<StoreMeta> {
    const meta = await this.meta();
    if (meta === null) throw new MementoError("NOT_A_STORE", `${this.access.where} holds no store yet`);
    return meta;
  }

  /** Commits a change of the log. */
  async commit<T>(change: Change<T>): Promise<T> {
    await this.facts();
    return await this.ask(async () => await this.#committer.commit(change));
  }

  /** Reads what every acknowledged commit has left. The work may be done twice. */
  async read<T>(work: () => Promise<T>): Promise<T> {
    return await this.ask(async () => await this.tail.read(work));
  }

  /** Changes something outside the log, once what others left half done is completed: it may be about the same. */
  async change<T>(work: () => Promise<T>): Promise<T> {
    await this.facts();
    return await this.ask(
      async () =>
        await this.#committer.between(async () => {
          await this.tail.settle();
          return await work();
        }),
    );
  }

  /** Asks the server. */
  async ask<T>(work: () => Promise<T>): Promise<T> {
    this.checkOpen();
    try {
      return await work();
    } catch (error) {
      this.checkOpen();
      throw failureOf(error, this.access.where);
    }
  }

  /** Items that are asked for one after the other. */
  async *told<T>(items: AsyncIterable<T>): AsyncIterable<T> {
    try {
      for await (const item of items) {
        yield item;
        this.checkOpen();
      }
    } catch (error) {
      this.checkOpen();
      throw failureOf(error, this.access.where);
    }
  }

  /** Writes bytes before the commit that names them. */
  async stow(bytes: Uint8Array, wants: ContentWants): Promise<Stowed> {
    return await this.ask(async () => await this.contents.stow(bytes, wants));
  }

  /** As `stow`, for a notice, whose header belongs to no place. */
  async stowNotice(notice: Uint8Array): Promise<Stowed> {
    await this.facts();
    return await this.stow(notice, { places: [] });
  }

  /** Deletes bytes that no commit names, or none any more. */
  async discard(contents: readonly (Stowed | null)[]): Promise<void> {
    for (const content of contents) await this.ask(async () => await this.contents.discard(content));
  }

  /** What the server is, and what the store takes up there. */
  async describe(): Promise<EngineFacts> {
    const { version } = await this.database.command({ buildInfo: 1 });
    let bytes = 0;
    for (const name of Object.values(COLLECTIONS)) {
      const { storageSize, totalIndexSize } = await this.database.command({ collStats: `${this.prefix}${name}` });
      bytes += Number(storageSize ?? 0) + Number(totalIndexSize ?? 0);
    }
    return { name: "MongoDB protocol", version: String(version), bytes, freeBytes: null };
  }

  /** Throws STORE_CLOSED once it was closed. */
  checkOpen(): void {
    if (this.#closing !== null) throw new MementoError("STORE_CLOSED", `${this.access.where} is closed`);
  }

  /** Finishes what is under way, and closes what was opened here. May be called again. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#committer.finish();
      await this.#way.close();
    } catch (error) {
      // Commits that stand are completed by whoever comes next; a server that is away has nothing to be told.
      const failure = failureOf(error, this.access.where);
      if (failure.code !== "STORE_UNREACHABLE" && failure.code !== "ACCESS_DENIED") throw failure;
    } finally {
      await this.#connection.close();
    }
  }
}
