import type { AnyBulkWriteOperation, Collection } from "mongodb";

import { isMementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type { Effect, LogDocument, StoreDocument } from "./documents.ts";
import { failureOf, isDuplicate } from "./failure.ts";

/** What the parts of an open store share. */
export interface StoreAccess {
  readonly documents: Collection<StoreDocument>;
  /** The store's URL without secrets. */
  readonly where: string;
  /** The longest that the server may take for one command, in milliseconds. */
  readonly maxTimeMS: number;
  readonly clock: Clock;
  /** This opening's own name, with which the marks of all its commits begin. */
  readonly writer: string;
}

const LOOK_AHEAD_MIN = 4;
const LOOK_AHEAD_MAX = 512;
/** From so many on they are sent as inserts, which servers take faster than the same as updates. */
const INSERTS_MIN = 16;
const APPLY_TRIES_MAX = 5;
/** How long an account that may only read waits for a writer to complete what that one began. */
const FOREIGN_APPLY_TRIES_MAX = 40;
const FOREIGN_APPLY_PAUSE_MS = 50;

/**
 * How far this process knows the log. Commits are numbered without a gap and never deleted, so what is new is found by the
 * numbers that follow. Up to its position every commit is there with all of its effects; behind that, up to its end, stand
 * commits of this process whose effects are still owed. Any reader and any other writer completes them when it comes by.
 */
export class Tail {
  readonly #access: StoreAccess;
  #position: number | null = null;
  #end: number | null = null;
  #changes = 0;
  #owed: readonly LogDocument[] = [];

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** Up to here everything is applied; null before the first look. */
  get position(): number | null {
    return this.#position;
  }

  /** The last known number; null before the first look. */
  get end(): number | null {
    return this.#end;
  }

  /** Own commits whose effects are not written yet. */
  get owed(): readonly LogDocument[] {
    return this.#owed;
  }

  /** Grows when commits are met that this process did not make; what was remembered of the store may be stale then. */
  get changes(): number {
    return this.#changes;
  }

  /** Forgets the position: the next look finds it anew. */
  forget(): void {
    this.#position = null;
    this.#end = null;
    this.#owed = [];
    this.#changes += 1;
  }

  /** Moves over commits of one's own. */
  moveOver(commits: readonly LogDocument[], applied: boolean): void {
    const last = commits.at(-1)?._id ?? 0;
    // After it was forgotten the next look finds them.
    if (this.#position === null || this.#end === null) return;
    this.#end = Math.max(this.#end, last);
    if (applied) this.#position = Math.max(this.#position, last);
    else this.#owed = [...this.#owed, ...commits];
    this.#drop(this.#position);
  }

  /** Writes the effects that are owed. */
  async pay(): Promise<void> {
    const owed = this.#owed;
    const last = owed.at(-1);
    if (last === undefined) return;
    await this.apply(owed);
    if (this.#position !== null) this.#position = Math.max(this.#position, last._id);
    this.#drop(last._id);
  }

  /** Gets to the end of the log, completing whatever a writer has left half done; gives the last number. */
  async settle(): Promise<number> {
    let position = this.#position ?? (await this.#find());
    for (let count = LOOK_AHEAD_MIN; ; count = Math.min(8 * count, LOOK_AHEAD_MAX)) {
      const news = await this.news(position, count);
      await this.#complete(news);
      position = news.at(-1)?._id ?? position;
      this.#meet(
        position,
        news.every(({ by }) => by.startsWith(this.#access.writer)),
      );
      if (news.length < count) return position;
    }
  }

  /**
   * Reads something, and makes sure that it shows every commit that was acknowledged before, and none in part. The look
   * for news goes beside the reading; it is repeated only where a commit has come that was not one transaction.
   */
  async read<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#position;
    if (before === null) {
      await this.settle();
      return await work();
    }
    const [found, value] = await Promise.allSettled([this.news(before, LOOK_AHEAD_MIN), work()]);
    if (found.status === "rejected") throw found.reason;
    const news = found.value;
    if (news.length > 0) {
      await this.settle();
      if (news.length === LOOK_AHEAD_MIN || news.some(({ atomic }) => !atomic)) return await work();
    }
    if (value.status === "rejected") throw value.reason;
    return value.value;
  }

  /** The commits behind a number, without their bytes, as far as they follow without a gap. */
  async news(after: number, count: number): Promise<readonly LogDocument[]> {
    const { documents, maxTimeMS } = this.#access;
    const numbers = Array.from({ length: count }, (_, index) => after + 1 + index);
    const options = { projection: { header: 0, body: 0 }, maxTimeMS };
    const found = await documents.find({ _id: { $in: numbers } }, options).toArray();
    const sorted = (found as unknown as LogDocument[]).toSorted((a, b) => a._id - b._id);
    return sorted.filter(({ _id }, index) => _id === after + 1 + index);
  }

  /** Writes the effects of commits, in their order, and that they are written. May be done again, at any time, by anybody. */
  async apply(commits: readonly Pick<LogDocument, "_id" | "effects">[]): Promise<void> {
    const { documents, maxTimeMS } = this.#access;
    const { inserts, others } = gatherEffects(commits);
    const few = inserts.length < INSERTS_MIN;
    const updates = [...(few ? inserts : []), ...others].map(({ effect, number }) => operationOf(effect, number));
    const numbers = commits.map(({ _id }) => _id);
    const done = { $set: { applied: true, effects: null } };
    updates.push({ updateMany: { filter: { _id: { $in: numbers } }, update: done } });
    for (let tries = 1; ; tries++) {
      try {
        if (!few) await insertMissing(documents, inserts, maxTimeMS);
        await documents.bulkWrite(updates, { ordered: true, maxTimeMS });
        return;
      } catch (error) {
        // Two who make the same document at once: the second finds it there.
        if (!isDuplicate(error) || tries === APPLY_TRIES_MAX) throw error;
      }
    }
  }

  async #complete(news: readonly LogDocument[]): Promise<void> {
    const open = news.filter(({ applied }) => !applied);
    if (open.length === 0) return;
    try {
      await this.apply(open);
    } catch (error) {
      const failure = failureOf(error, this.#access.where);
      if (!isMementoError(failure, "ACCESS_DENIED")) throw error;
      await this.#awaitApplied(open, failure);
    }
  }

  /** An account that may not write waits until somebody else has completed the commits. */
  async #awaitApplied(open: readonly LogDocument[], failure: Error): Promise<void> {
    const { documents, clock, maxTimeMS } = this.#access;
    const numbers = open.map(({ _id }) => _id);
    for (let tries = 0; tries < FOREIGN_APPLY_TRIES_MAX; tries++) {
      if ((await documents.findOne({ _id: { $in: numbers }, applied: false }, { maxTimeMS })) === null) return;
      await clock.sleep(FOREIGN_APPLY_PAUSE_MS);
    }
    throw failure;
  }

  /** The last number up to which all is applied, as the last commit's writer knew it. */
  async #find(): Promise<number> {
    const { documents, maxTimeMS } = this.#access;
    const options = { sort: { _id: -1 as const }, projection: { base: 1 }, maxTimeMS };
    const last = await documents.findOne({ _id: { $gt: 0 } }, options);
    const base = last === null ? 0 : Number(last["base"]);
    this.#position ??= base;
    this.#end ??= base;
    return base;
  }

  #meet(position: number, own: boolean): void {
    if (this.#position === null || position <= this.#position) return;
    this.#position = position;
    this.#end = Math.max(this.#end ?? 0, position);
    this.#drop(position);
    if (!own) this.#changes += 1;
  }

  #drop(applied: number): void {
    if (this.#owed.length > 0) this.#owed = this.#owed.filter(({ _id }) => _id > applied);
  }
}

interface NumberedEffect {
  readonly effect: Effect;
  readonly number: number;
}

/** The effects of commits that follow one another. Of several changes of one document one is left, with the fields of all. */
function gatherEffects(commits: readonly Pick<LogDocument, "_id" | "effects">[]): {
  readonly inserts: readonly NumberedEffect[];
  readonly others: readonly NumberedEffect[];
} {
  const inserts: NumberedEffect[] = [];
  const creates = new Map<string | number, NumberedEffect>();
  const changes = new Map<string | number, NumberedEffect>();
  for (const { _id: number, effects } of commits) {
    for (const effect of effects ?? []) {
      if (effect.act === "insert") inserts.push({ effect, number });
      else if (effect.act === "create") creates.set(effect.id, creates.get(effect.id) ?? { effect, number });
      else {
        const fields = { ...changes.get(effect.id)?.effect.fields, ...effect.fields };
        changes.set(effect.id, { effect: { ...effect, fields }, number });
      }
    }
  }
  // A document is made before it is changed.
  return { inserts, others: [...creates.values(), ...changes.values()] };
}

/** An effect as the driver takes it. A change is passed over where a later commit has been at the document. */
export function operationOf(effect: Effect, number: number): AnyBulkWriteOperation<StoreDocument> {
  if (effect.act === "change") {
    const filter = { _id: effect.id, at: { $lt: number } };
    return { updateOne: { filter, update: { $set: { ...effect.fields, at: number } } } };
  }
  const fields = effect.act === "create" ? { at: 0, ...effect.fields } : effect.fields;
  return { updateOne: { filter: { _id: effect.id }, update: { $setOnInsert: fields }, upsert: true } };
}

async function insertMissing(
  documents: Collection<StoreDocument>,
  inserts: readonly NumberedEffect[],
  maxTimeMS: number,
): Promise<void> {
  try {
    const made = inserts.map(({ effect }) => ({ _id: effect.id, ...effect.fields }));
    await documents.insertMany(made, { ordered: false, maxTimeMS });
  } catch (error) {
    // All others were tried too; those that are there are not changed.
    const errors = isDuplicate(error) && "writeErrors" in (error as object) ? writeErrorsOf(error) : null;
    if (errors === null || errors.some(({ code }) => code !== 11_000)) throw error;
  }
}

function writeErrorsOf(error: unknown): readonly { readonly code: number }[] {
  const { writeErrors } = error as { readonly writeErrors: { readonly code: number } | { readonly code: number }[] };
  return Array.isArray(writeErrors) ? writeErrors : [writeErrors];
}
