import type { ClientSession, MongoClient } from "mongodb";

import type { LogDocument, StoreDocument } from "./documents.ts";
import { failureOf, isConflict, isDuplicate, isTransient } from "./failure.ts";
import type { Sessions } from "./sessions.ts";
import { operationOf, type StoreAccess, type Tail } from "./tail.ts";

/** What became of commits: so many of the first ones stand in the log. */
export interface WayResult {
  readonly committed: number;
  /** True: another's transaction that has not ended yet is in the way. */
  readonly blocked: boolean;
}

/** A way of committing: log documents with numbers that follow one another, each with its effects. */
export interface CommitWay {
  readonly atomic: boolean;
  /** STORE_UNREACHABLE when it cannot be known any more whether they were committed. */
  commit(documents: readonly LogDocument[]): Promise<WayResult>;
  close(): Promise<void>;
}

const COMMIT_TRIES_MAX = 3;

/**
 * Commits by writing the log documents: each is one document, there completely or not at all, and the server takes each
 * number once. Their effects stand in them until they were applied, which every later reader and writer does too.
 */
export class SingleDocumentWay implements CommitWay {
  readonly atomic = false;
  readonly #access: StoreAccess;
  readonly #tail: Tail;

  constructor(access: StoreAccess, tail: Tail) {
    this.#access = access;
    this.#tail = tail;
  }

  async commit(documents: readonly LogDocument[]): Promise<WayResult> {
    const { documents: collection, maxTimeMS, where } = this.#access;
    let committed = documents.length;
    try {
      await collection.insertMany(documents as unknown as StoreDocument[], { ordered: true, maxTimeMS });
    } catch (error) {
      committed = await countOwn(this.#access, documents);
      // A repeat by the driver itself may meet the first try's own documents; of other failures the cause counts.
      if (committed === 0 && !isDuplicate(error)) throw failureOf(error, where);
    }
    if (committed > 0) await this.#tail.apply(documents.slice(0, committed));
    return { committed, blocked: false };
  }

  async close(): Promise<void> {}
}

/** Commits log documents together with their effects, in one transaction. */
export class TransactionWay implements CommitWay {
  readonly atomic = true;
  readonly #access: StoreAccess;
  readonly #client: MongoClient;
  readonly #sessions: Sessions;
  #session: ClientSession | null = null;

  constructor(access: StoreAccess, client: MongoClient, sessions: Sessions) {
    this.#access = access;
    this.#client = client;
    this.#sessions = sessions;
  }

  async commit(documents: readonly LogDocument[]): Promise<WayResult> {
    const session = (this.#session ??= await this.#newSession());
    const { maxTimeMS, where } = this.#access;
    session.startTransaction({
      readConcern: { level: "snapshot" },
      writeConcern: { w: "majority", journal: true },
      maxCommitTimeMS: maxTimeMS,
    });
    try {
      await this.#write(documents, session);
    } catch (error) {
      await this.#abandon(session, error);
      if (isDuplicate(error) || isTransient(error)) return { committed: 0, blocked: !isDuplicate(error) };
      throw failureOf(error, where);
    }
    return await this.#end(documents, session);
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    await this.#sessions.forget(session);
    await session.endSession();
  }

  async #write(documents: readonly LogDocument[], session: ClientSession): Promise<void> {
    const { documents: collection, maxTimeMS } = this.#access;
    const inserted = documents.flatMap(({ effects }) =>
      (effects ?? []).flatMap((effect) => (effect.act === "insert" ? [{ _id: effect.id, ...effect.fields }] : [])),
    );
    const updates = documents.flatMap(({ _id, effects }) =>
      (effects ?? []).flatMap((effect) => (effect.act === "insert" ? [] : [operationOf(effect, _id)])),
    );
    const logged = documents.map((document) => ({ ...document, applied: true, effects: null }));
    // The contended number first, so that who comes too late has written nothing else.
    await collection.insertMany([...(logged as unknown as StoreDocument[]), ...inserted], {
      session,
      ordered: true,
      maxTimeMS,
    });
    if (updates.length > 0) await collection.bulkWrite(updates, { session, ordered: true, maxTimeMS });
  }

  async #end(documents: readonly LogDocument[], session: ClientSession): Promise<WayResult> {
    for (let tries = 1; ; tries++) {
      try {
        await session.commitTransaction();
        return { committed: documents.length, blocked: false };
      } catch (error) {
        if (tries < COMMIT_TRIES_MAX && !isTransient(error)) continue;
        // Whatever the answer was, or whether it was lost: the log says what happened.
        const committed = await countOwn(this.#access, documents);
        await this.#abandon(session, error);
        if (committed === 0 && !isTransient(error)) throw failureOf(error, this.#access.where);
        return { committed, blocked: committed === 0 };
      }
    }
  }

  /** Ends the transaction if it is still there; the server ends it by itself otherwise. */
  async #abandon(session: ClientSession, cause: unknown): Promise<void> {
    if (session.inTransaction()) await session.abortTransaction();
    if (isConflict(cause)) return;
    // One that was ended from outside, or whose connection broke, is not used again.
    this.#session = null;
    await session.endSession();
  }

  async #newSession(): Promise<ClientSession> {
    const session = this.#client.startSession({ causalConsistency: false });
    await this.#sessions.remember(session);
    return session;
  }
}

/** How many of the first of one's own documents stand in the log. */
async function countOwn(access: StoreAccess, documents: readonly LogDocument[]): Promise<number> {
  const { documents: collection, maxTimeMS, where } = access;
  try {
    const numbers = documents.map(({ _id }) => _id);
    const options = { projection: { by: 1 }, maxTimeMS };
    const found = await collection.find({ _id: { $in: numbers } }, options).toArray();
    const byNumber = new Map(found.map(({ _id, by }) => [_id, by]));
    const foreign = documents.findIndex(({ _id, by }) => byNumber.get(_id) !== by);
    return foreign === -1 ? documents.length : foreign;
  } catch (error) {
    throw failureOf(error, where);
  }
}
