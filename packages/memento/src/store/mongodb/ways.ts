import type { ClientSession, MongoClient } from "mongodb";

import { isMementoError } from "../../core/errors.ts";
import type { LogDocument, StoreDocument } from "./documents.ts";
import { failureOf, isConflict, isTransient } from "./failure.ts";
import type { Sessions } from "./sessions.ts";
import { operationOf, type StoreAccess } from "./tail.ts";

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
const FIRST_PAUSE_MS = 50;

/**
 * Commits by writing the log documents: each is one document, there completely or not at all, and the server takes each
 * number once. Their effects stand in them until somebody has applied them: this process for many at once, or every reader
 * and other writer that meets them before.
 */
export class SingleDocumentWay implements CommitWay {
  readonly atomic = false;
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** After a lost answer the very same documents are sent again: what the first try may still bring is then one's own. */
  async commit(documents: readonly LogDocument[]): Promise<WayResult> {
    const { documents: collection, maxTimeMS } = this.#access;
    let committed = 0;
    await untilReached(this.#access, async () => {
      const left = documents.slice(committed) as unknown as StoreDocument[];
      try {
        await collection.insertMany(left, { ordered: true, maxTimeMS });
        committed = documents.length;
      } catch (error) {
        const { own, isTaken } = await countOwn(this.#access, documents);
        committed = own;
        if (committed < documents.length && !isTaken) throw error;
      }
    });
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
    return await untilReached(this.#access, async () => await this.#try(documents));
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

  async #try(documents: readonly LogDocument[]): Promise<WayResult> {
    const session = (this.#session ??= await this.#newSession());
    session.startTransaction({
      readConcern: { level: "snapshot" },
      writeConcern: { w: "majority", journal: true },
      maxCommitTimeMS: this.#access.maxTimeMS,
    });
    try {
      await this.#write(documents, session);
      await this.#end(session);
      return { committed: documents.length, blocked: false };
    } catch (error) {
      await this.#abandon(session, error);
      // Whatever the answer was, or whether it was lost: the log says what happened.
      const { own, isTaken } = await countOwn(this.#access, documents);
      if (own === documents.length) return { committed: own, blocked: false };
      if (isTaken || isTransient(error)) return { committed: 0, blocked: !isTaken };
      throw error;
    }
  }

  async #end(session: ClientSession): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await session.commitTransaction();
        return;
      } catch (error) {
        if (tries === COMMIT_TRIES_MAX || isTransient(error)) throw error;
      }
    }
  }

  /** Ends the transaction if it is still there; the server ends it by itself otherwise. */
  async #abandon(session: ClientSession, cause: unknown): Promise<void> {
    // It may not be reached either; the server then ends it by itself.
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

/** Repeats what failed because the server was not reached, a few times; after that, STORE_UNREACHABLE. */
async function untilReached<T>({ clock, where }: StoreAccess, work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const failure = failureOf(error, where);
      if (!isMementoError(failure, "STORE_UNREACHABLE") || tries === COMMIT_TRIES_MAX) throw failure;
      await clock.sleep(FIRST_PAUSE_MS * 2 ** tries);
    }
  }
}

/** How many of the first of one's own documents stand in the log, and whether the number behind them is another's. */
async function countOwn(
  { documents: collection, maxTimeMS }: StoreAccess,
  documents: readonly LogDocument[],
): Promise<{ readonly own: number; readonly isTaken: boolean }> {
  const numbers = documents.map(({ _id }) => _id);
  const found = await collection.find({ _id: { $in: numbers } }, { projection: { by: 1 }, maxTimeMS }).toArray();
  const byNumber = new Map(found.map(({ _id, by }) => [_id, by]));
  const foreign = documents.findIndex(({ _id, by }) => byNumber.get(_id) !== by);
  const own = foreign === -1 ? documents.length : foreign;
  return { own, isTaken: byNumber.has(documents[own]?._id ?? 0) };
}
