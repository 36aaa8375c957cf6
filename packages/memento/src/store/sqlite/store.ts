import { dirname, resolve } from "node:path";

import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import { leaseValues, textOf } from "../columns.ts";
import type { MementoQuery } from "../query.ts";
import { checkReplacement } from "../replacement.ts";
import { scanLog } from "../scan.ts";
import type {
  AppendBatch,
  AppendResult,
  CaretakerRecord,
  EngineFacts,
  IndexAuthority,
  IndexRebuild,
  IndexRow,
  KeyRecord,
  LeaseChange,
  MementoStore,
  PackGlance,
  PackReplacement,
  SalvagedPack,
  StoreDamage,
  StoredCommit,
  StoredMemento,
  StoreMeta,
  StoreSupports,
  SeenCaretaker,
} from "../store.ts";
import { SqliteAppender } from "./appender.ts";
import { logNotice, reclaimPacks, removeCaretaker, removeMementos, retireKey, saveCaretaker } from "./changes.ts";
import { findDamage } from "./check.ts";
import { BODY_BYTES_MAX, Connection, type ConnectionOptions } from "./connection.ts";
import { demandFolder, failureOf } from "./failure.ts";
import { glanceAt, readMemento, SqliteLog } from "./log.ts";
import { dropKey, replacePack, salvage } from "./mending.ts";
import { rebuildIndex } from "./rebuild.ts";
import { caretakerOf, keyOf, keyValues, metaOf, numberOf, timelineOf, timelineValues } from "./rows.ts";
import { looksLikeDatabase } from "./schema.ts";
import { MANY_RECORDS } from "./sort-in.ts";
import type { Statements } from "./statements.ts";
import { findWalDamage } from "./wal.ts";

/** Where a store's database is, and how to open it. */
export interface SqliteStoreOptions {
  /** The database's file. It need not be there; its folder must. */
  readonly path: string;
  /** How long another process's lock is waited for, in milliseconds, before LOCKED; 5000 by default. */
  readonly lockTimeoutMs?: number;
  readonly clock?: Clock;
}

const RECLAIMED_AT_ONCE = 200;

/**
 * Keeps a store in one SQLite database, in WAL mode with `synchronous = FULL`: an acknowledged commit survives kill -9
 * and power loss. Several processes of one machine may share it. The file is made by `create`, not by `open`; while a
 * store is open two more files stand beside it, and a closed store is the one file. Every call is refused with NOT_A_STORE
 * while that file is not where it was: what would be written is in no file at the path.
 */
export class SqliteStore implements MementoStore {
  readonly url: string;
  readonly supports: StoreSupports = {
    durable: true,
    sharedBy: "machine",
    bodyBytesMax: BODY_BYTES_MAX,
    reclaimsSpace: true,
  };

  readonly apart: SqliteAppender;

  readonly #options: ConnectionOptions;
  readonly #log = new SqliteLog(() => this.#current());
  #connection: Connection | null = null;
  #connecting: Promise<Connection | null> | null = null;
  #meta: StoreMeta | null = null;
  #closing: Promise<void> | null = null;
  #closed = false;

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.url = `sqlite:${options.path}`;
    this.apart = new SqliteAppender({
      ...options,
      found: async () => await this.#found(),
      meta: async () => this.#meta ?? (await this.#facts()),
      checkOpen: () => this.#checkOpen(),
    });
  }

  /** Opens the database where there is one. IO_FAILED when its folder is missing, NOT_A_STORE for another program's file. */
  static async open({ path, lockTimeoutMs = 5_000, clock = systemClock }: SqliteStoreOptions): Promise<SqliteStore> {
    const store = new SqliteStore({ path: resolve(path), lockTimeoutMs, clock });
    await demandFolder(dirname(resolve(path)));
    await store.#find();
    return store;
  }

  async meta(): Promise<StoreMeta | null> {
    if ((await this.#find()) === null) return null;
    this.#meta ??= await this.#current().read(({ facts }) => metaOf(facts.get() ?? {}));
    return { ...this.#meta };
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    if ((await this.#find()) === null) {
      this.#connection ??= await Connection.create(this.#options, (statements) => {
        // Whoever comes second finds the facts of the first, made in the same transaction as the tables.
        if (statements.facts.get() !== undefined) return;
        const { format, id, sealed, created, check } = meta;
        statements.insertFacts.run(format, id, sealed ? 1 : 0, created, check);
        statements.insertKey.run(...keyValues(integrityKey));
      });
    }
    return await this.#facts();
  }

  async keys(): Promise<readonly KeyRecord[]> {
    if ((await this.#find()) === null) return [];
    return await this.#current().read(({ keys }) => keys.all().map((row) => keyOf(row)));
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    return await (
      await this.#found()
    ).wipe(({ rewrapKey }) => changed(rewrapKey.run(key.ring, key.wrapped, key.id, expectedRing)));
  }

  async retireKey(id: string): Promise<boolean> {
    return await this.#write((statements) => retireKey(statements, id));
  }

  /** LOCKED when another process's readers keep the old bytes from being written over; a repeat finishes it. */
  async dropKey(id: string): Promise<boolean> {
    const connection = await this.#found();
    const dropped = await connection.wipe((statements) => dropKey(statements, id));
    await connection.settleWipes();
    return dropped;
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    const { caretaker, originator, partition, fork } = record;
    return await this.#write(({ timelineAt, timeline, insertTimeline, insertHead }) => {
      const existing = timelineAt.get(caretaker, originator, partition, fork);
      if (existing !== undefined) return timelineOf(existing);
      if (timeline.get(record.key) !== undefined) {
        throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
      }
      insertHead.run(insertTimeline.run(...timelineValues(record), ...leaseValues(lease)).lastInsertRowid);
      return { record, head: null, lease, request: null };
    });
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await this.#read(({ timeline }) => optional(timeline.get(key), timelineOf));
  }

  async findTimeline({ caretaker, originator, partition, fork }: TimelineAddress): Promise<TimelineState | null> {
    return await this.#read(({ timelineAt }) =>
      optional(timelineAt.get(caretaker, originator, partition, fork), timelineOf),
    );
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    for (let last = 0; ;) {
      const page = await this.#read(({ timelinesAfter }) => timelinesAfter.all(last));
      for (const row of page) {
        const state = timelineOf(row);
        last = numberOf(row, "ordinal");
        if (caretaker === null || state.record.caretaker === caretaker) yield state;
      }
      if (page.length === 0) return;
    }
  }

  async acquireLease({ timeline, lease }: LeaseChange): Promise<boolean> {
    return await this.#write(({ acquireLease }) =>
      changed(acquireLease.run(...leaseValues(lease), timeline, lease.epoch - 1)),
    );
  }

  async renewLease({ timeline, lease }: LeaseChange): Promise<TimelineState | null> {
    return await this.#write((statements) => {
      const renewed = statements.renewLease.run(...leaseValues(lease), timeline, lease.epoch, lease.owner);
      return changed(renewed) ? optional(statements.timeline.get(timeline), timelineOf) : null;
    });
  }

  async releaseLease({ timeline, lease }: LeaseChange, owner: string): Promise<boolean> {
    return await this.#write(({ releaseLease }) =>
      changed(releaseLease.run(...leaseValues(lease), timeline, lease.epoch, owner)),
    );
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    const known = await this.#write((statements) => changed(statements.request.run(request, timeline)));
    if (!known) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    return await this.apart.appendMade(batch);
  }

  async read(id: string): Promise<StoredMemento | null> {
    return await this.#read((statements) => readMemento(statements, id));
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    return await this.#read(({ named }) => optional(named.get(caretaker, name), (row) => textOf(row, "memento")));
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    await this.#found();
    yield* scanLog(this.#log, query);
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    const connection = await this.#found();
    // Together it takes less than one by one.
    if (ids.length >= MANY_RECORDS) await connection.sortIn();
    return await connection.write((statements) => removeMementos(statements, ids, notice, seen));
  }

  async note(notice: Uint8Array): Promise<void> {
    await this.#write((statements) => logNotice(statements, notice));
  }

  /** Every few packs are a transaction of their own, so that a large clean-up never holds the lock for long. */
  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    let packs = 0;
    let bytes = 0;
    for (let start = 0; start === 0 || start < ids.length; start += RECLAIMED_AT_ONCE) {
      const freed = await this.#write((statements) =>
        reclaimPacks(statements, ids.slice(start, start + RECLAIMED_AT_ONCE)),
      );
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
    return await this.#write((statements) => replacePack(statements, replacement, header));
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    if (after !== null && !/^[0-9]{1,15}$/.test(after)) {
      throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(after.slice(0, 60))} is not a cursor of this log`);
    }
    await this.#found();
    yield* this.#log.commits(Number(after ?? 0));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await this.#read(({ caretaker }) => optional(caretaker.get(name), caretakerOf));
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    return await this.#read(({ caretakers }) => caretakers.all().map((row) => caretakerOf(row)));
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    return await this.#write((statements) => saveCaretaker(statements, record, notice));
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    return await this.#write((statements) => removeCaretaker(statements, name, notice));
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    const connection = await this.#found();
    if (dryRun) return await connection.read((statements) => rebuildIndex(statements, authority, true));
    // SQLite's own indexes first: what is compared is looked up by them.
    if ((await connection.integrityProblems()).length > 0) await connection.reindex();
    await connection.sortIn();
    return await connection.write((statements) => rebuildIndex(statements, authority, false));
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    return await this.#read((statements) => salvage(statements, id));
  }

  async glance(id: string): Promise<PackGlance | null> {
    return await this.#read((statements) => glanceAt(statements, id));
  }

  async engine(): Promise<EngineFacts> {
    return await (await this.#found()).facts();
  }

  async *check(): AsyncIterable<StoreDamage> {
    yield* findDamage(await this.#found());
  }

  async close(): Promise<void> {
    if (this.#closing === null) await (this.#closing = this.#close());
    else await this.#closing.catch(() => undefined); // Who closed it first was told.
  }

  async #close(): Promise<void> {
    this.#closed = true;
    const connection = this.#connection;
    this.#connection = null;
    await this.apart.close();
    try {
      connection?.close();
    } catch (error) {
      throw failureOf(error, this.#options.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #read<T>(work: (statements: Statements) => T): Promise<T> {
    return await (await this.#found()).read(work);
  }

  async #write<T>(work: (statements: Statements) => T): Promise<T> {
    return await (await this.#found()).write(work);
  }

  async #facts(): Promise<StoreMeta> {
    const meta = await this.meta();
    if (meta === null) throw this.#notMade();
    return meta;
  }

  /** The connection, or NOT_A_STORE while nobody has made the store. */
  async #found(): Promise<Connection> {
    const connection = this.#connection ?? (await this.#find());
    this.#checkOpen();
    if (connection === null) throw this.#notMade();
    return connection;
  }

  /** Connects if there is a store by now; null when there is none. */
  async #find(): Promise<Connection | null> {
    this.#checkOpen();
    if (this.#connection !== null) return this.#connection;
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = null));
    const connection = await this.#connecting;
    if (this.#closed) connection?.close();
    this.#checkOpen();
    return (this.#connection ??= connection);
  }

  async #connect(): Promise<Connection | null> {
    const { path } = this.#options;
    try {
      if (!(await looksLikeDatabase(path))) return null;
      const damage = await findWalDamage(`${path}-wal`);
      if (damage !== null)
        throw new MementoError("DAMAGED", `${path}-wal: ${damage}`, { details: { path: `${path}-wal` } });
    } catch (error) {
      throw failureOf(error, path);
    }
    return await Connection.open(this.#options);
  }

  #current(): Connection {
    this.#checkOpen();
    if (this.#connection === null) throw this.#notMade();
    return this.#connection;
  }

  #checkOpen(): void {
    if (this.#closed) throw new MementoError("STORE_CLOSED", `${this.url} is closed`);
  }

  #notMade(): MementoError {
    return new MementoError("NOT_A_STORE", `${this.#options.path} holds no store yet`);
  }
}

const changed = ({ changes }: { readonly changes: number | bigint }): boolean => Number(changes) > 0;

function optional<Row, T>(row: Row | undefined, read: (row: Row) => T): T | null {
  return row === undefined ? null : read(row);
}
