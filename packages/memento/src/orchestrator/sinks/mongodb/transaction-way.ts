import type { ClientSession } from "mongodb";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { failureOf, isDriverError, isTransient } from "../../../store/mongodb/failure.ts";
import { type BookAccess, padded, type SessionDocument } from "./books.ts";
import type { CollectionConnection } from "./connection.ts";
import { applySteps, type CommitWay, imageOf, type Operation, outThenIn, type Plan, stepsOf } from "./operation.ts";
import { demandEpoch } from "./stream.ts";

const UNREACHED_TRIES_MAX = 4;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 100;

/** True where another's transaction is in the way, or ours was ended. */
function isConflict(error: unknown): boolean {
  // 251: no such transaction, any more; 225: too old; 244: aborted; 50: a command that waited for another's lock too long.
  return isDriverError(error) && [112, 251, 225, 244, 246].includes(Number(error.code));
}

/** Data and books in one transaction. Who comes second starts again; a dead client's transaction is ended. */
export class TransactionWay implements CommitWay {
  readonly #connection: CollectionConnection;
  readonly #settle: () => Promise<void>;
  #session: ClientSession | null = null;

  /** `settle` completes a staged write of another client. */
  constructor(connection: CollectionConnection, settle: () => Promise<void>) {
    this.#connection = connection;
    this.#settle = settle;
  }

  async commit<T>(plan: Plan<T>, epoch: number): Promise<T> {
    const { clock, context, lockTimeoutMs, where, random } = this.#connection;
    const begun = clock.monotonic();
    const signal = context.signal.aborted ? undefined : context.signal;
    let unreached = 0;
    let othersEnded = false;
    for (let tries = 0; ; tries++) {
      try {
        const outcome = await this.#attempt(plan);
        if (outcome !== null) return outcome.answer;
        await this.#settle();
        continue;
      } catch (error) {
        const conflict = isConflict(error) || (isTransient(error) && failureCode(error, where) !== "STORE_UNREACHABLE");
        const waitedMs = clock.monotonic() - begun;
        // A first try may have taken all the time; a dead client's transaction is ended before anybody gives up.
        if (conflict && othersEnded && waitedMs >= lockTimeoutMs) throw this.#locked(error);
        if (conflict) {
          othersEnded = waitedMs > lockTimeoutMs / 2;
          await this.#endOthers(epoch, othersEnded);
        } else if (failureCode(error, where) !== "STORE_UNREACHABLE" || ++unreached === UNREACHED_TRIES_MAX)
          throw failureOf(error, where);
      }
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries, 10), LONGEST_PAUSE_MS);
      // Of those who wait for the same, each comes at another moment.
      await clock.sleep(pauseMs * (0.5 + (random.bytes(1)[0] ?? 0) / 256), signal);
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    if (session === null) return;
    const { books, access } = this.#connection;
    await books.sessions.deleteOne({ _id: sessionKey(session) }, { ...access });
    await session.endSession();
  }

  /** Null where a staged write must be completed before. */
  async #attempt<T>(plan: Plan<T>): Promise<{ readonly answer: T } | null> {
    const session = (this.#session ??= await this.#newSession());
    const { books, collection, access } = this.#connection;
    session.startTransaction({
      readConcern: { level: "snapshot" },
      writeConcern: { w: "majority", journal: true },
      readPreference: "primary",
      maxCommitTimeMS: access.maxTimeMS,
    });
    const inside = { ...access, session };
    try {
      // The number that all want comes first: who is too late has done nothing else, and the snapshot is of after the last.
      const _id = collection.collectionName;
      await books.places.updateOne({ _id }, { $inc: { commits: 1 } }, inside);
      const place = await this.#connection.place(inside);
      const decision = place.pending === null ? await plan({ access: inside, place, commit: place.commits }) : null;
      if (decision?.op === undefined) {
        await session.abortTransaction();
        return decision;
      }
      await this.#apply(decision, inside);
      await this.#end(session);
      return decision;
    } catch (error) {
      await this.#abandon(session, error);
      throw error;
    }
  }

  async #apply<T>({ op, stream, entry, tokens, parts }: Operation<T>, access: BookAccess): Promise<void> {
    const { books, collection, identity } = this.#connection;
    await books.streams.replaceOne({ _id: stream._id }, stream, { ...access, upsert: true });
    if (entry === null) return;
    const options = { ...access, again: false, sameId: identity.sameId };
    const [out, into] = entry.back !== null && (await this.#connection.hasFurtherUnique()) ? outThenIn : [];
    let number = 0;
    for await (const part of parts()) {
      const _id = `${op}/${padded(number)}`;
      const images = { _id, stream: stream._id, position: entry.position, items: part.map(imageOf) };
      await books.images.insertOne(images, { ...access });
      await applySteps(collection, out?.(stepsOf(part)) ?? stepsOf(part), options);
      number += 1;
    }
    if (into !== undefined)
      for await (const part of parts()) await applySteps(collection, into(stepsOf(part)), options);
    await books.entries.insertOne(entry, { ...access });
    if (tokens.length > 0) await books.tokens.insertMany([...tokens], { ...access });
  }

  /** The driver itself asks again where the answer was lost; after that the next attempt finds its own token. */
  async #end(session: ClientSession): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await session.commitTransaction();
        return;
      } catch (error) {
        const isUnknown = isDriverError(error) && error.hasErrorLabel?.("UnknownTransactionCommitResult") === true;
        if (!isUnknown || tries === UNREACHED_TRIES_MAX) throw error;
      }
    }
  }

  async #abandon(session: ClientSession, cause: unknown): Promise<void> {
    if (session.inTransaction()) {
      try {
        await session.abortTransaction();
      } catch (error) {
        if (!isDriverError(error)) throw error;
      }
    }
    // A session whose state is not known is not used again.
    if (isMementoError(cause) || (isDriverError(cause) && cause.code === 112)) return;
    this.#session = null;
    await session.endSession();
  }

  async #newSession(): Promise<ClientSession> {
    const { books, access, stream } = this.#connection;
    const session = this.#connection.startSession();
    const known: SessionDocument = {
      _id: sessionKey(session),
      session: (session.id as unknown as { id: SessionDocument["session"] }).id,
      stream,
    };
    await books.sessions.replaceOne({ _id: known._id }, known, { ...access, upsert: true });
    return session;
  }

  /**
   * Ends the transactions of this stream's other clients: of two workers of one timeline only one is right, and the other one
   * finds itself fenced when it tries again. Those of other timelines are ended when they have been in the way for long.
   */
  async #endOthers(epoch: number, all: boolean): Promise<void> {
    const { books, access, stream } = this.#connection;
    await demandEpoch(this.#connection, epoch, access);
    const own = this.#session === null ? "" : sessionKey(this.#session);
    const filter = { _id: { $ne: own }, ...(all ? {} : { stream }) };
    const others = await books.sessions.find(filter, { ...access }).toArray();
    if (others.length === 0) return;
    await this.#connection.killSessions(others.map(({ session }) => session));
    await books.sessions.deleteMany({ _id: { $in: others.map(({ _id }) => _id) } }, { ...access });
  }

  #locked(cause: unknown): MementoError {
    const { where, collection } = this.#connection;
    const message = `${where}: ${collection.collectionName} is held by other writers' transactions`;
    return new MementoError("LOCKED", message, { cause });
  }
}

function failureCode(error: unknown, where: string): string | null {
  if (isMementoError(error)) return error.code;
  return isDriverError(error) ? failureOf(error, where).code : null;
}

function sessionKey(session: ClientSession): string {
  const { id } = session.id as unknown as { id: { readonly buffer: Uint8Array } };
  return Buffer.from(id.buffer).toString("hex");
}
