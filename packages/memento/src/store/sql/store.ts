import { sha256OfJson } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import { checkBatch } from "../admit.ts";
import { leaseValues, textOf } from "../columns.ts";
import type { MementoQuery } from "../query.ts";
import { checkReplacement } from "../replacement.ts";
import { scanLog } from "../scan.ts";
import type {
  AppendBatch,
  AppendResult,
  CaretakerRecord,
  IndexAuthority,
  IndexRebuild,
  IndexRow,
  KeyRecord,
  LeaseChange,
  MementoStore,
  PackReplacement,
  SalvagedPack,
  StoreDamage,
  StoredCommit,
  StoredMemento,
  StoreMeta,
  StoreSupports,
  SeenCaretaker,
} from "../store.ts";
import { discardBody, placeBody } from "./bodies.ts";
import {
  appendBatch,
  demandDataKey,
  logNotice,
  reclaimPacks,
  removeCaretaker,
  removeMementos,
  saveCaretaker,
} from "./changes.ts";
import { findDamage } from "./check.ts";
import { SqlLog } from "./log-reader.ts";
import { findMemento, LISTED_AT_ONCE } from "./log.ts";
import { replacePack, salvage } from "./mending.ts";
import { rebuildIndex } from "./rebuild.ts";
import {
  caretakerOf,
  keyOf,
  keyValues,
  metaOf,
  metaValues,
  numberOf,
  timelineOf,
  timelineValues,
  type Row,
} from "./rows.ts";
import type { SqlEngine, SqlSession, SqlSnapshot } from "./session.ts";

/**
 * A store in the tables of a server that speaks SQL. What is the engine's own is behind `SqlEngine`: its connections,
 * its language, its errors, and the way of an append in one round trip.
 */
export class SqlStore implements MementoStore {
  readonly url: string;
  readonly supports: StoreSupports;
  readonly #engine: SqlEngine;
  readonly #random: Random;
  readonly #log = new SqlLog(() => this.#current());
  #meta: StoreMeta | null = null;
  #made = false;
  #closed = false;

  protected constructor(engine: SqlEngine, random: Random) {
    this.#engine = engine;
    this.#random = random;
    this.url = engine.url;
    this.supports = engine.supports;
  }

  async meta(): Promise<StoreMeta | null> {
    if (!(await this.#find())) return null;
    this.#meta ??= await this.#engine.read(async (session) => {
      const row = await session.get(session.statements.facts);
      return row === undefined ? null : metaOf(row);
    });
    this.#checkOpen();
    return this.#meta === null ? null : { ...this.#meta };
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    if ((await this.meta()) === null) {
      await this.#current().make(async (session) => {
        // Whoever comes second finds the facts of the first.
        if ((await session.get(session.statements.facts)) !== undefined) return;
        await session.run(session.statements.insertFacts, ...metaValues(meta));
        await session.add(session.statements.insertKey, ...keyValues(integrityKey));
      });
    }
    return await this.#facts();
  }

  async keys(): Promise<readonly KeyRecord[]> {
    if (!(await this.#find())) return [];
    return await this.#read(async (session) => (await session.all(session.statements.keys)).map((row) => keyOf(row)));
  }

  async rewrapKey({ id, ring, wrapped }: KeyRecord, expectedRing: string): Promise<boolean> {
    return await this.#change(({ rewrapKey }) => rewrapKey, ring, wrapped, id, expectedRing);
  }

  async retireKey(id: string): Promise<boolean> {
    const engine = await this.#found();
    await engine.read(async (session) => await demandDataKey(session, id, "retired"));
    await this.#change(({ retireKey }) => retireKey, id);
    const row = await engine.read(async (session) => await session.get(session.statements.keyState, id));
    // Who looked at the key before is behind the gate, and done when this is.
    await engine.settle();
    return row !== undefined && textOf(row, "state") === "retired";
  }

  /**
   * The key's row is changed, and no statement finds the old one any more. These engines keep old versions of their rows
   * until they clean up (VACUUM, purge), in pages that are not written over, and in their logs (WAL, binary log) and backups for as
   * long as those are kept: whoever has these and the ring's key can still open what the data key sealed.
   */
  async dropKey(id: string): Promise<boolean> {
    const engine = await this.#found();
    await engine.read(async (session) => await demandDataKey(session, id, "dropped"));
    return await this.#change(({ dropKey }) => dropKey, id);
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    const address = addressDigest(record);
    const engine = await this.#found();
    const make = async (session: SqlSession): Promise<TimelineState> => {
      const { timelineAt, insertTimeline } = session.statements;
      await session.add(insertTimeline, address, ...timelineValues(record), ...leaseValues(lease));
      const made = await session.get(timelineAt, address);
      if (made !== undefined) return timelineOf(made);
      throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
    };
    // One statement writes, and needs no transaction of its own; where others went first, `write` does it again.
    try {
      return await engine.single(make);
    } catch (error) {
      if (!isMementoError(error) || error.details["repeat"] !== true) throw error;
      return await engine.write(make);
    }
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await this.#one(({ timeline }) => timeline, timelineOf, key);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    return await this.#one(({ timelineAt }) => timelineAt, timelineOf, addressDigest(address));
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    for (let last = 0; ;) {
      const page = await this.#read(async (session) => await session.all(session.statements.timelinesAfter, last));
      for (const row of page) {
        const state = timelineOf(row);
        last = numberOf(row, "ordinal");
        if (caretaker === null || state.record.caretaker === caretaker) yield state;
      }
      if (page.length === 0) return;
    }
  }

  async acquireLease({ timeline, lease }: LeaseChange): Promise<boolean> {
    return await this.#change(({ acquireLease }) => acquireLease, ...leaseValues(lease), timeline, lease.epoch - 1);
  }

  async renewLease({ timeline, lease }: LeaseChange): Promise<TimelineState | null> {
    return await (
      await this.#found()
    ).write(async (session) => {
      const { renewLease, timeline: select } = session.statements;
      const renewed = await session.run(renewLease, ...leaseValues(lease), timeline, lease.epoch, lease.owner);
      const row = renewed === 0 ? undefined : await session.get(select, timeline);
      return row === undefined ? null : timelineOf(row);
    });
  }

  async releaseLease({ timeline, lease }: LeaseChange, owner: string): Promise<boolean> {
    return await this.#change(({ releaseLease }) => releaseLease, ...leaseValues(lease), timeline, lease.epoch, owner);
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    const known = await this.#change((statements) => statements.request, request, timeline);
    if (!known) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { sealed } = this.#meta ?? (await this.#facts());
    this.#checkOpen();
    const { dataKey } = checkBatch(batch, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const engine = this.#engine;
    if (batch.body.byteLength <= engine.partBytesMax && (await engine.appendAll(batch, dataKey)))
      return batch.records.map(() => ({ outcome: "appended" as const }));
    return await engine.write(async (session) => {
      const body = await placeBody(session, batch.body, engine.partBytesMax, () => this.#newBodyId());
      const results = await appendBatch(session, batch, body, dataKey);
      if (results.every(({ outcome }) => outcome !== "appended")) await discardBody(session, body);
      return results;
    });
  }

  async read(id: string): Promise<StoredMemento | null> {
    const found = await this.#read(async (session) => await findMemento(session, id, false));
    if ("memento" in found) return found.memento;
    // What is read in several steps is read as it was at one moment.
    const settled = await this.#snapshot(async (session) => await findMemento(session, id, true));
    return "memento" in settled ? settled.memento : null;
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    return await this.#one(
      ({ named }) => named,
      (row) => textOf(row, "memento"),
      caretaker,
      name,
    );
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    await this.#found();
    for await (const row of scanLog(this.#log, query)) {
      yield row;
      this.#checkOpen();
    }
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    return await (await this.#found()).write(async (session) => await removeMementos(session, ids, notice, seen));
  }

  async note(notice: Uint8Array): Promise<void> {
    await (await this.#found()).write(async (session) => await logNotice(session, notice));
  }

  /** Some hundred packs are a transaction of their own, so that a large clean-up never holds locks for long. */
  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    const engine = await this.#found();
    let packs = 0;
    let bytes = 0;
    for (let start = 0; start < ids.length; start += LISTED_AT_ONCE) {
      const some = ids.slice(start, start + LISTED_AT_ONCE);
      const freed = await engine.write(async (session) => await reclaimPacks(session, some));
      packs += freed.packs;
      bytes += freed.bytes;
    }
    return { packs, bytes };
  }

  async compact(): Promise<number> {
    return await (await this.#found()).compact();
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const { sealed } = this.#meta ?? (await this.#facts());
    const header = checkReplacement(replacement, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const engine = this.#current();
    return await engine.write(async (session) => {
      const body = await placeBody(session, replacement.body, engine.partBytesMax, () => this.#newBodyId());
      const done = await replacePack(session, replacement, header, body);
      if (!done) await discardBody(session, body);
      return done;
    });
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    if (after !== null && !/^[0-9]{1,15}$/.test(after)) {
      throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(after.slice(0, 60))} is not a cursor of this log`);
    }
    await this.#found();
    yield* this.#log.commits(Number(after ?? 0));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await this.#one(({ caretaker }) => caretaker, caretakerOf, name);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    return await this.#read(async (session) =>
      (await session.all(session.statements.caretakers)).map((row) => caretakerOf(row)),
    );
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    return await (await this.#found()).write(async (session) => await saveCaretaker(session, record, notice));
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    return await (await this.#found()).write(async (session) => await removeCaretaker(session, name, notice));
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    const engine = await this.#found();
    return await engine.write(async (session) => await rebuildIndex(session, authority, dryRun));
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    return await this.#snapshot(async (session) => await salvage(session, id));
  }

  async *check(): AsyncIterable<StoreDamage> {
    // The tables are compared as they were at one moment, or writers would make them seem to disagree.
    const snapshot = await (await this.#found()).snapshot();
    try {
      yield* findDamage(snapshot.session);
    } finally {
      await snapshot.release();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    return await (await this.#found()).read(work);
  }

  async #snapshot<T>(work: (session: SqlSession) => Promise<T>): Promise<T> {
    const snapshot: SqlSnapshot = await (await this.#found()).snapshot();
    try {
      return await work(snapshot.session);
    } finally {
      await snapshot.release();
    }
  }

  /** The row that a statement finds, as `read` reads it. */
  async #one<T>(
    statement: (statements: SqlSession["statements"]) => string,
    read: (row: Row) => T,
    ...values: readonly string[]
  ): Promise<T | null> {
    const row = await this.#read(async (session) => await session.get(statement(session.statements), ...values));
    return row === undefined ? null : read(row);
  }

  /** One statement that changes a row; false when it found none. */
  async #change(
    statement: (statements: SqlSession["statements"]) => string,
    ...values: readonly (string | number | null)[]
  ): Promise<boolean> {
    const engine = await this.#found();
    return await engine.single(async (session) => (await session.run(statement(session.statements), ...values)) > 0);
  }

  #newBodyId(): string {
    return randomText(this.#random, 20);
  }

  async #facts(): Promise<StoreMeta> {
    const meta = await this.meta();
    if (meta === null) throw this.#notMade();
    return meta;
  }

  /** The engine, or NOT_A_STORE while nobody has made the store. */
  async #found(): Promise<SqlEngine> {
    if ((this.#meta ?? (await this.meta())) === null) throw this.#notMade();
    return this.#current();
  }

  async #find(): Promise<boolean> {
    this.#checkOpen();
    this.#made ||= await this.#engine.isMade();
    this.#checkOpen();
    return this.#made;
  }

  #current(): SqlEngine {
    this.#checkOpen();
    return this.#engine;
  }

  #checkOpen(): void {
    if (this.#closed) throw new MementoError("STORE_CLOSED", `${this.url} is closed`);
  }

  #notMade(): MementoError {
    return new MementoError("NOT_A_STORE", `${this.url} holds no store yet`);
  }
}

const addressDigest = ({ caretaker, originator, partition, fork }: TimelineAddress): string =>
  sha256OfJson([caretaker, originator, partition, fork]);
