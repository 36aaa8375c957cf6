import { isMementoError, MementoError } from "../../core/errors.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../../core/ports.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import { checkBatch } from "../admit.ts";
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
import { checkPrefix, describeRedis, readRedisUrl, type RedisAddress } from "./address.ts";
import { appendBatch } from "./append.ts";
import { dropLeftovers } from "./bodies.ts";
import { StoreCalls } from "./calls.ts";
import { readCaretaker, readCaretakers, removeCaretaker, saveCaretaker } from "./caretakers.ts";
import { findDamage } from "./check.ts";
import { addressOf, checkBorrowed, makeClient, type RedisClient, type RedisTls } from "./client.ts";
import { Keys, nameText } from "./keys.ts";
import { Link } from "./link.ts";
import { readMemento, RedisLog } from "./log.ts";
import { NOTE } from "./lua/commits.ts";
import { FIELD } from "./lua/reads.ts";
import { CREATE, FACTS } from "./lua/records.ts";
import { reclaimPacks, replacePack, salvage } from "./packs.ts";
import { rebuildIndex } from "./rebuild.ts";
import { removeMementos } from "./removal.ts";
import { fieldsOf, keyFields, metaFields, metaOf, noticeRow } from "./rows.ts";
import { changeLease, createTimeline, findTimeline, leaveRequest, listTimelines, readTimeline } from "./timelines.ts";
import { noteWiped, readKeys, retireKey, rewrapKey, rewriteEngineLog } from "./wrapped-keys.ts";

/** How to open a store on Redis: by a URL, or over a client of one's own. */
export interface RedisStoreOptions {
  /** `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS, `redis+cluster://host:port,host:port`. */
  readonly url?: string;
  /**
   * An ioredis client in place of a URL; the store does not close it. It must not send commands again by itself:
   * `autoResendUnfulfilledCommands: false`, for a cluster `retryDelayOnFailover: 0`.
   */
  readonly client?: RedisClient;
  /** What the store's keys begin with, in braces; `memento` by default. Several stores may share a server. */
  readonly prefix?: string;
  /** True: the store opens on a server that may lose what it acknowledged, and says `durable: false`. False by default. */
  readonly allowLoss?: boolean;
  /** How many replicas must have a change before it is acknowledged (WAIT); 0 by default. */
  readonly waitReplicas?: number;
  /** 10000 by default. */
  readonly connectTimeoutMs?: number;
  /** How long one answer is waited for; 30000 by default. */
  readonly commandTimeoutMs?: number;
  /** Settings of TLS that a URL cannot hold. */
  readonly tls?: RedisTls;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A gigabyte: what one body takes of the server's memory, and twice of this process's while it is read. */
const BODY_BYTES_MAX = 1_000_000_000;

/**
 * Keeps a store in Redis 7 or newer, on one server or in one slot of a cluster. Every change is one script, and so one
 * round trip; the server must have `appendonly yes`, `appendfsync always` and no eviction, or it is refused. No key of the
 * store is ever given a time to live. What a server acknowledged survives its own kill -9 and power loss; a failover to
 * a replica loses what had not reached it, which `waitReplicas` narrows and Redis does not rule out.
 */
export class RedisStore implements MementoStore {
  readonly url: string;
  readonly supports: StoreSupports;

  readonly #link: Link;
  readonly #keys: Keys;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #commandTimeoutMs: number;
  #meta: StoreMeta | null = null;
  #calls: StoreCalls | null = null;
  #closed = false;

  private constructor(url: string, link: Link, keys: Keys, options: RedisStoreOptions) {
    this.url = url;
    this.#link = link;
    this.#keys = keys;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#commandTimeoutMs = options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS;
    this.supports = { durable: link.durable, sharedBy: "network", bodyBytesMax: BODY_BYTES_MAX, reclaimsSpace: true };
  }

  /** Opens a store by its URL; docs/stores.md has its parts. */
  static async openUrl(url: string): Promise<RedisStore> {
    return await RedisStore.open({ url });
  }

  /**
   * Connects and looks whether the server is fit; changes nothing there. STORE_UNREACHABLE when nobody answers,
   * ACCESS_DENIED for a wrong password, PLACE_MISSING for a database that there is not, ENGINE_UNSUITABLE for a server
   * that is too old, evicts, or may lose what it acknowledged, PEER_MISSING without the package `ioredis`.
   */
  static async open(options: RedisStoreOptions): Promise<RedisStore> {
    const given = options.url === undefined ? null : readRedisUrl(options.url);
    if ((given === null) === (options.client === undefined))
      throw new MementoError(
        "INVALID_ARGUMENT",
        "A store on Redis is opened by a url or over a client: give one of the two",
      );
    const prefix = checkPrefix(options.prefix ?? given?.options.prefix ?? "memento");
    const patience = {
      connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      commandTimeoutMs: options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
    };
    if (options.client !== undefined) checkBorrowed(options.client);
    const address: RedisAddress = given?.address ?? addressOf(options.client as RedisClient);
    const client = options.client ?? (await makeClient(address, patience, options.tls ?? null));
    const url = describeRedis(address, prefix);
    const keys = new Keys(prefix);
    const link = await Link.open({
      client,
      isOwned: options.client === undefined,
      where: url,
      allowLoss: options.allowLoss ?? given?.options.allowLoss ?? false,
      waitReplicas: options.waitReplicas ?? given?.options.waitReplicas ?? 0,
      ...patience,
      key: keys.store,
      clock: options.clock ?? systemClock,
    });
    return new RedisStore(url, link, keys, options);
  }

  async meta(): Promise<StoreMeta | null> {
    this.#checkOpen();
    if (this.#meta === null) this.#remember(await this.#link.read(FACTS, [this.#keys.store], []));
    return this.#meta === null ? null : { ...this.#meta };
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    this.#checkOpen();
    const facts = metaFields(meta);
    const keys = [this.#keys.store, this.#keys.keys, this.#keys.key(integrityKey.id)];
    const args = [integrityKey.id, String(facts.length), ...facts, ...keyFields(integrityKey)];
    this.#remember(await this.#link.write(CREATE, keys, args));
    return await this.#facts();
  }

  async keys(): Promise<readonly KeyRecord[]> {
    if ((await this.meta()) === null) return [];
    const calls = await this.#found();
    return await this.#sure(async () => await readKeys(calls));
  }

  /** The old wrapping stays in the engine's append-only file until that is written anew, by itself or by `compact`. */
  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    return await rewrapKey(await this.#found(), key, expectedRing);
  }

  async retireKey(id: string): Promise<boolean> {
    return (await retireKey(await this.#found(), id, "retired")).wasThere;
  }

  /**
   * The server then writes its append-only file anew; LOCKED when that takes longer than a command may, and a repeat
   * finishes it. Where a service does not allow it, the file keeps the bytes until the service does so itself.
   */
  async dropKey(id: string): Promise<boolean> {
    const calls = await this.#found();
    const { wasThere, mustWipe } = await retireKey(calls, id, "dropped");
    if (mustWipe) {
      const { outcome } = await rewriteEngineLog(calls, this.#clock, this.#commandTimeoutMs);
      if (outcome === "busy")
        throw new MementoError("LOCKED", `${this.url}: the server is still writing its append-only file anew`);
      await noteWiped(calls);
    }
    return wasThere;
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    const calls = await this.#found();
    return await this.#sure(async () => await createTimeline(calls, record, lease));
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await readTimeline(await this.#found(), key);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    const calls = await this.#found();
    return await this.#sure(async () => await findTimeline(calls, address));
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    const calls = await this.#found();
    yield* this.#sureOfEach(() => listTimelines(calls, caretaker));
  }

  async acquireLease(change: LeaseChange): Promise<boolean> {
    const expected = { epoch: change.lease.epoch - 1, owner: null, clearsRequest: false };
    return (await changeLease(await this.#found(), change, expected)) !== null;
  }

  async renewLease(change: LeaseChange): Promise<TimelineState | null> {
    const { epoch, owner } = change.lease;
    const calls = await this.#found();
    return owner === null ? null : await changeLease(calls, change, { epoch, owner, clearsRequest: false });
  }

  async releaseLease(change: LeaseChange, owner: string): Promise<boolean> {
    const expected = { epoch: change.lease.epoch, owner, clearsRequest: true };
    return (await changeLease(await this.#found(), change, expected)) !== null;
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    await leaveRequest(await this.#found(), timeline, request);
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const calls = this.#calls ?? (await this.#found());
    this.#checkOpen();
    return await appendBatch(calls, batch, checkBatch(batch, this.#limits()), this.#random);
  }

  async read(id: string): Promise<StoredMemento | null> {
    const calls = await this.#found();
    return await this.#sure(async () => await readMemento(calls, id));
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    const calls = await this.#found();
    const [id] = (await calls.read(FIELD, [this.#keys.names], [nameText(caretaker, name)])).rest as [Buffer | null];
    return id?.toString() ?? null;
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    const log = new RedisLog(await this.#found());
    yield* this.#sureOfEach(() => scanLog(log, query));
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    return await removeMementos(await this.#found(), ids, notice, seen);
  }

  async note(notice: Uint8Array): Promise<void> {
    await (await this.#found()).log(NOTE, [], [noticeRow(notice, null)]);
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    const calls = await this.#found();
    return await this.#sure(async () => await reclaimPacks(calls, ids));
  }

  /** Takes away what ended processes have left of large bodies, and has the server write its append-only file anew. */
  async compact(): Promise<number> {
    const calls = await this.#found();
    const leftovers = await dropLeftovers(calls);
    const { bytesFreed } = await rewriteEngineLog(calls, this.#clock, this.#commandTimeoutMs);
    return leftovers + bytesFreed;
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const calls = await this.#found();
    const header = checkReplacement(replacement, this.#limits());
    return await this.#sure(async () => await replacePack(calls, replacement, header, this.#random));
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    if (after !== null && !/^[0-9]{1,15}$/.test(after)) {
      throw new MementoError("INVALID_ARGUMENT", `${JSON.stringify(after.slice(0, 60))} is not a cursor of this log`);
    }
    const log = new RedisLog(await this.#found());
    yield* this.#sureOfEach(() => log.commits(Number(after ?? 0)));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await readCaretaker(await this.#found(), name);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    return await readCaretakers(await this.#found());
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    return await saveCaretaker(await this.#found(), record, notice);
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    const calls = await this.#found();
    return await removeCaretaker(calls, new RedisLog(calls), name, notice);
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    const calls = await this.#found();
    await this.#demandRest();
    return await rebuildIndex(calls, authority, dryRun);
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    const calls = await this.#found();
    await this.#demandRest();
    return await salvage(calls, id);
  }

  async *check(): AsyncIterable<StoreDamage> {
    const calls = await this.#found();
    await this.#demandRest();
    for await (const damage of findDamage(calls)) {
      await this.#demandRest();
      yield damage;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#link.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What a cluster is just moving looks as if it were missing: that is said in place of damage. */
  async #sure<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw await this.#certain(error);
    }
  }

  async *#sureOfEach<T>(items: () => AsyncIterable<T>): AsyncIterable<T> {
    try {
      for await (const item of items()) {
        yield item;
        this.#checkOpen();
      }
    } catch (error) {
      throw await this.#certain(error);
    }
  }

  async #certain(error: unknown): Promise<unknown> {
    return isMementoError(error, "DAMAGED") && (await this.#link.isMoving()) ? this.#moving(error) : error;
  }

  async #demandRest(): Promise<void> {
    if (await this.#link.isMoving()) throw this.#moving();
  }

  #moving(cause?: unknown): MementoError {
    const options = cause === undefined ? {} : { cause };
    return new MementoError("STORE_UNREACHABLE", `${this.url}: the cluster is moving the store's slot`, options);
  }

  #remember(reply: readonly unknown[]): void {
    if (reply.length === 0) return;
    this.#meta = metaOf(fieldsOf(reply));
    this.#calls = new StoreCalls(this.#link, this.#keys, this.#meta.id, this.url);
  }

  /** The calls of the store that is there, or NOT_A_STORE while nobody has made one. */
  async #found(): Promise<StoreCalls> {
    this.#checkOpen();
    if (this.#calls === null) await this.meta();
    if (this.#calls === null) throw this.#notMade();
    return this.#calls;
  }

  async #facts(): Promise<StoreMeta> {
    const meta = await this.meta();
    if (meta === null) throw this.#notMade();
    return meta;
  }

  #notMade(): MementoError {
    return new MementoError("NOT_A_STORE", `${this.url} holds no store yet`);
  }

  #limits(): { readonly sealed: boolean; readonly bodyBytesMax: number } {
    return { sealed: this.#meta?.sealed ?? true, bodyBytesMax: this.supports.bodyBytesMax };
  }

  #checkOpen(): void {
    if (this.#closed) throw new MementoError("STORE_CLOSED", `${this.url} is closed`);
  }
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_COMMAND_TIMEOUT_MS = 30_000;
