import { isMementoError, MementoError } from "../../../core/errors.ts";
import { failureOf, isDriverError, isDuplicate } from "../../../store/mongodb/failure.ts";
import { type EntryDocument, padded, type PendingOperation, type PlaceDocument, type StreamDocument } from "./books.ts";
import type { CollectionConnection } from "./connection.ts";
import { bytesOf, documentOfImage, storedDocument } from "./documents.ts";
import {
  applySteps,
  type CommitWay,
  imageOf,
  type Operation,
  outThenIn,
  type Plan,
  type Step,
  stepOf,
} from "./operation.ts";
import { demandEpoch } from "./stream.ts";

const UNREACHED_TRIES_MAX = 4;
const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 100;

/**
 * For servers without transactions. A write is laid down in the books, then decided by one document: the place names it as
 * pending, if nobody else has committed since it was planned. Then it is done; every step of that may be repeated, and
 * whoever meets a pending write completes it first.
 */
export class StagedWay implements CommitWay {
  readonly #connection: CollectionConnection;

  constructor(connection: CollectionConnection) {
    this.#connection = connection;
  }

  async commit<T>(plan: Plan<T>, epoch: number): Promise<T> {
    const { clock, context, lockTimeoutMs, where, access, random } = this.#connection;
    const begun = clock.monotonic();
    const signal = context.signal.aborted ? undefined : context.signal;
    let unreached = 0;
    for (let tries = 0; ; tries++) {
      try {
        await demandEpoch(this.#connection, epoch, access);
        const outcome = await this.#attempt(plan);
        if (outcome !== null) return outcome.answer;
        if (clock.monotonic() - begun >= lockTimeoutMs)
          throw new MementoError("LOCKED", `${where}: others keep writing to ${this.#connection.identity.collection}`);
      } catch (error) {
        if (isMementoError(error)) throw error;
        const failure = failureOf(error, where);
        if (failure.code !== "STORE_UNREACHABLE" || ++unreached === UNREACHED_TRIES_MAX) throw failure;
      }
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(tries, 10), LONGEST_PAUSE_MS);
      await clock.sleep(pauseMs * (0.5 + (random.bytes(1)[0] ?? 0) / 256), signal);
    }
  }

  async close(): Promise<void> {}

  /** Completes the write that is pending, whoever began it. */
  async settle(): Promise<PlaceDocument> {
    for (;;) {
      const place = await this.#connection.place();
      if (place.pending === null) return place;
      await this.#complete(place.pending);
    }
  }

  /** Null where somebody else was first. */
  async #attempt<T>(plan: Plan<T>): Promise<{ readonly answer: T } | null> {
    const { access, books } = this.#connection;
    const place = await this.settle();
    const { commits } = place;
    const decision = await plan({ access, place, commit: commits + 1 });
    if (decision.op === undefined) return decision;
    const { op } = decision;
    try {
      await this.#layDown(decision);
      const pending: PendingOperation = { op, undo: false };
      const filter = { _id: place._id, commits, pending: null };
      const { matchedCount } = await books.places.updateOne(
        filter,
        { $set: { commits: commits + 1, pending } },
        { ...access },
      );
      // After a lost answer the driver may have asked twice: then it is ours that stands there.
      if (matchedCount === 0 && (await this.#connection.place()).pending?.op !== op) {
        if ((await books.entries.findOne({ _id: decision.entry?._id ?? "", op }, { ...access })) !== null)
          return decision;
        await this.#forget(op, true);
        return null;
      }
    } catch (error) {
      if ((await this.#connection.place()).pending?.op !== op) await this.#forget(op, true);
      throw error;
    }
    await this.#complete({ op, undo: false });
    return decision;
  }

  /** Writes what is to be done where nobody looks yet. */
  async #layDown<T>({ op, stream, entry, tokens, parts }: Operation<T>): Promise<void> {
    const { books, access } = this.#connection;
    let number = 0;
    if (entry !== null) {
      for await (const part of parts()) {
        const _id = `${op}/${padded(number)}`;
        await books.images.insertOne(
          { _id, stream: stream._id, position: entry.position, items: part.map(imageOf) },
          { ...access },
        );
        await books.staged.insertOne({ _id, after: part.map(({ after }) => after?.bytes ?? null) }, { ...access });
        number += 1;
      }
    }
    await books.staged.insertOne({ _id: op, stream, entry, tokens, parts: number }, { ...access });
  }

  async #complete({ op, undo }: PendingOperation): Promise<void> {
    const { books, access, collection } = this.#connection;
    const head = await books.staged.findOne({ _id: op }, { ...access });
    // Somebody else has completed it, and taken its plan away.
    if (head === null) return await this.#release(op);
    const { stream, entry = null, tokens = [], parts = 0 } = head;
    try {
      const isBack = undo || typeof entry?.back === "number";
      const passes = isBack && (await this.#connection.hasFurtherUnique()) ? outThenIn : [asTheyAre];
      for (const pass of passes) {
        for (let number = 0; number < parts; number++) {
          if (!(await this.#isPending(op))) return;
          const steps = pass(await this.#steps(`${op}/${padded(number)}`, undo));
          await applySteps(collection, steps, { ...access, again: true, sameId: this.#connection.identity.sameId });
        }
      }
    } catch (error) {
      if (!isMementoError(error, "RECORD_INVALID") || undo) throw error;
      // Nothing of a write that the engine refuses stays.
      const filter = { _id: collection.collectionName, "pending.op": op };
      await books.places.updateOne(filter, { $set: { "pending.undo": true } }, { ...access });
      await this.#complete({ op, undo: true });
      throw error;
    }
    if (!(await this.#isPending(op))) return;
    if (!undo && stream !== undefined) await this.#note(stream, entry, [...tokens]);
    await this.#release(op);
    await this.#forget(op, undo);
  }

  async #steps(part: string, undo: boolean): Promise<Step[]> {
    const { books, bson, access } = this.#connection;
    const images = await books.images.findOne({ _id: part }, { ...access, promoteValues: false });
    const staged = await books.staged.findOne({ _id: part }, { ...access });
    if (images === null || staged === null) {
      // A moment ago it was pending; now somebody else has completed it.
      return [];
    }
    return images.items.map(({ before }, index) => {
      const after = staged.after?.[index] ?? null;
      const [out, into] = undo ? [after, before] : [before, after];
      return stepOf(
        out === null ? null : storedDocument(bson, bytesOf(out)),
        into === null ? null : documentOfImage(bson, bytesOf(into)).content,
      );
    });
  }

  async #note(stream: StreamDocument, entry: EntryDocument | null, tokens: EntryTokens): Promise<void> {
    const { books, access } = this.#connection;
    // The stream last: what it counts is there by then.
    if (entry !== null) await books.entries.replaceOne({ _id: entry._id }, entry, { ...access, upsert: true });
    if (tokens.length > 0) {
      try {
        await books.tokens.insertMany(tokens, { ...access, ordered: false });
      } catch (error) {
        if (!isDriverError(error) || !isDuplicate(error)) throw error;
      }
    }
    const older = { _id: stream._id, position: { $lte: stream.position }, epoch: { $lte: stream.epoch } };
    try {
      const { oldest, ...rest } = stream;
      await books.streams.updateOne(older, { $set: rest, $max: { oldest } }, { ...access, upsert: true });
    } catch (error) {
      // It is further by now: then this was noted before.
      if (!isDuplicate(error)) throw error;
    }
  }

  async #isPending(op: string): Promise<boolean> {
    return (await this.#connection.place()).pending?.op === op;
  }

  async #release(op: string): Promise<void> {
    const { books, access, collection } = this.#connection;
    const filter = { _id: collection.collectionName, "pending.op": op };
    await books.places.updateOne(filter, { $set: { pending: null } }, { ...access });
  }

  async #forget(op: string, images: boolean): Promise<void> {
    const { books, access } = this.#connection;
    const parts = { _id: { $gte: `${op}/`, $lt: `${op}0` } };
    await books.staged.deleteMany(parts, { ...access });
    await books.staged.deleteOne({ _id: op }, { ...access });
    if (images) await books.images.deleteMany(parts, { ...access });
  }
}

const asTheyAre = (steps: readonly Step[]): readonly Step[] => steps;

type EntryTokens = Parameters<CollectionConnection["books"]["tokens"]["insertMany"]>[0] & unknown[];
