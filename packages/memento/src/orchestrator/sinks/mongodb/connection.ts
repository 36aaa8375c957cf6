import type * as Mongodb from "mongodb";
import type { ClientSession, Collection, DbOptions, MongoClient } from "mongodb";

import { MementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import { type Clock, type Random, systemRandom } from "../../../core/ports.ts";
import { borrowClient, connectUrl, type MongodbConnection, readAddress } from "../../../store/mongodb/connection.ts";
import { failureOf, isDriverError } from "../../../store/mongodb/failure.ts";
import { loadPeer } from "../../../store/optional-peer.ts";
import type { SinkContext } from "../sink.ts";
import { type BookAccess, Books, type PlaceDocument, streamId } from "./books.ts";
import type { Bson } from "./documents.ts";
import { Identity } from "./identity.ts";
import { booksPrefix, keyFields, type MongodbCollectionOptions } from "./options.ts";

const LOCK_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 30_000;

/** A collection that was opened for one sink of one timeline. */
export class CollectionConnection {
  readonly bson: Bson;
  readonly books: Books;
  readonly collection: Collection;
  readonly identity: Identity;
  readonly stream: string;
  readonly context: SinkContext;
  readonly random: Random;
  readonly staged: boolean;
  readonly access: BookAccess;
  readonly lockTimeoutMs: number;
  /** For people, without secrets. */
  readonly where: string;
  readonly #connection: MongodbConnection;

  private constructor(
    connection: MongodbConnection,
    bson: Bson,
    options: MongodbCollectionOptions,
    context: SinkContext,
  ) {
    const { collection, commit = "auto", commandTimeoutMs = COMMAND_TIMEOUT_MS, random = systemRandom } = options;
    this.#connection = connection;
    this.bson = bson;
    this.context = context;
    this.random = random;
    this.where = connection.where;
    this.access = { maxTimeMS: commandTimeoutMs };
    this.lockTimeoutMs = options.lockTimeoutMs ?? LOCK_TIMEOUT_MS;
    // Reads that decide see only what no election can take away again.
    const concerns: DbOptions = connection.replicated ? { readConcern: { level: "majority" } as never } : {};
    const database = connection.client.db(connection.database.databaseName, {
      ...concerns,
      readPreference: "primary",
      writeConcern: { w: "majority", journal: true },
    });
    this.books = new Books(database, booksPrefix(options));
    this.collection = database.collection(collection);
    this.identity = new Identity(collection, keyFields(options));
    this.stream = streamId(context.timeline, context.name);
    this.staged = commit === "staged" || connection.mode === "single-document";
  }

  /** Connects, and makes the books, the collection and the key's index where there are none. */
  static async open(options: MongodbCollectionOptions, context: SinkContext): Promise<CollectionConnection> {
    const connection = await CollectionConnection.#connect(options, context);
    try {
      await connection.#prepare();
      return connection;
    } catch (error) {
      await connection.close();
      throw failureOf(error, connection.where);
    }
  }

  /** True where the collection is there; makes nothing. */
  static async findsCollection(options: MongodbCollectionOptions, context: SinkContext): Promise<boolean> {
    const connection = await CollectionConnection.#connect(options, context);
    try {
      return await connection.books.hasCollection(connection.collection.collectionName, connection.access);
    } catch (error) {
      throw failureOf(error, connection.where);
    } finally {
      await connection.close();
    }
  }

  static async #connect(options: MongodbCollectionOptions, context: SinkContext): Promise<CollectionConnection> {
    const { url, client, database = "", commit = "auto" } = options;
    const mode = commit === "staged" ? "single-document" : commit;
    const { BSON: bson } = await loadPeer<typeof Mongodb>("mongodb", ">=6.12 <8", "A sink into MongoDB");
    const connection =
      url === undefined
        ? await borrowClient(client as MongoClient, database, mode)
        : await connectUrl(readAddress(url), mode);
    return new CollectionConnection(connection, bson, options, context);
  }

  get clock(): Clock {
    return this.context.clock;
  }

  startSession(): ClientSession {
    return this.#connection.client.startSession();
  }

  /** Ends sessions of other clients, as far as the account may. */
  async killSessions(sessions: readonly unknown[]): Promise<void> {
    const { client } = this.#connection;
    try {
      await client.db("admin").command({ killSessions: sessions.map((id) => ({ id })), ...this.access });
    } catch (error) {
      // 13: not allowed for this account; 59: a server without sessions. They end by the server's own limit then.
      if (!isDriverError(error) || (error.code !== 13 && error.code !== 59)) throw error;
    }
  }

  async place(access: BookAccess = this.access): Promise<PlaceDocument> {
    return await this.books.place(this.collection.collectionName, access);
  }

  /** True where a unique index beside the key's forbids that two documents have a value alike, if only while it passes from one to the other. */
  async hasFurtherUnique(): Promise<boolean> {
    const own = new Set([this.identity.fields, ["_id"]].map((fields) => fields.toSorted().join("\0")));
    return (await this.#uniqueFields()).some((fields) => !own.has(fields));
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** The fields of each unique index, sorted. */
  async #uniqueFields(): Promise<string[]> {
    const indexes = await this.collection
      .listIndexes({ ...this.access })
      .toArray()
      .catch((error: unknown) => {
        // 26: there is no collection, and so no index.
        if (isDriverError(error) && error.code === 26) return [];
        throw error;
      });
    return indexes
      .filter(({ unique }) => unique === true)
      .map(({ key }) =>
        Object.keys(key as object)
          .toSorted()
          .join("\0"),
      );
  }

  async #prepare(): Promise<void> {
    const { collection, identity } = this;
    await this.books.prepare(collection.collectionName, randomText(this.random, 16), this.access);
    if (identity.isId) return;
    const isThere = (await this.#uniqueFields()).includes(identity.fields.toSorted().join("\0"));
    if (isThere) return;
    try {
      const key = Object.fromEntries(identity.fields.map((field) => [field, 1 as const]));
      await collection.createIndexes([{ key, unique: true }], { ...this.access });
    } catch (error) {
      // 85 and 86: an index of that name that is not unique; 11000: documents of one key.
      if (!isDriverError(error) || ![85, 86, 11_000].includes(Number(error.code))) throw error;
      const fields = identity.fields.join(", ");
      throw new MementoError(
        "INVALID_ARGUMENT",
        `${this.where}: ${collection.collectionName} can have no unique index on ${fields}, by which its documents are to be found`,
        { cause: error, hint: "Make the values unique, or choose another key." },
      );
    }
  }
}
