import type { Collection, MongoClient } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
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
} from "../store.ts";
import * as changes from "./changes.ts";
import { findDamage } from "./check.ts";
import { readCommits, readCursor } from "./commits.ts";
import { Committer, type Change } from "./committer.ts";
import { borrowClient, connectUrl, readAddress, type CommitMode, type MongodbConnection } from "./connection.ts";
import { Contents, type ChunkDocument, type ContentWants } from "./contents.ts";
import {
  addressText,
  caretakerKey,
  FACTS,
  leaseFields,
  nameKey,
  timelineKey,
  timelineOf,
  type Stowed,
  type StoreDocument,
} from "./documents.ts";
import { failureOf, isDuplicate } from "./failure.ts";
import * as keys from "./keys.ts";
import { glanceAt, readMemento, reclaimChange, replaceChange, salvagePack } from "./packs.ts";
import { proveExclusion } from "./prove.ts";
import { rebuildIndex } from "./rebuild.ts";
import { COLLECTIONS, makeCollections, readFacts } from "./schema.ts";
import { MementoRows } from "./search.ts";
import { Sessions } from "./sessions.ts";
import { sweepContents } from "./sweep.ts";
import { Tail, type StoreAccess } from "./tail.ts";
import { SingleDocumentWay, TransactionWay, type CommitWay } from "./ways.ts";

/** Where a store's collections are, and how it commits. */
export interface MongodbStoreOptions {
  /** `mongodb://user:password@host:port/database` or `mongodb+srv://…`; its `prefix` and `commit` are ours, all else the driver's. */
  readonly url?: string;
  /** In place of a URL: a client of the `mongodb` package, which is left open, and the name of a database. */
  readonly client?: MongoClient;
  readonly database?: string;
  /** What the names of the collections begin with; `memento_` by default. Several stores may share a database. */
  readonly prefix?: string;
  /**
   * `transaction`: each commit is one transaction, which replica sets and clusters have. `single-document`: each commit is
   * one document, completed by whoever comes next where its writer died. `auto`, the default, takes transactions where
   * the server has them. Clients of both kinds may share a store.
   */
  readonly commit?: CommitMode | "auto";
  /** How long the server may take for one command, in milliseconds; 30 seconds by default. */
  readonly commandTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const RECLAIMED_AT_ONCE = 200;
const TIMELINES_AT_ONCE = 200;

/**
 * Keeps a store in two collections of a MongoDB database, written with `w: "majority", j: true` and read from the primary.
 * `open` connects and changes nothing; the collections are made by `create`. Waits are bounded: 5 s to find a server, 60 s
 * for a silent connection, 30 s for a command, unless the URL says otherwise.
 */
export class MongodbStore implements MementoStore {
  readonly url: string;
  readonly supports: StoreSupports = {
    durable: true,
    sharedBy: "network",
    bodyBytesMax: 2 ** 30,
    reclaimsSpace: true,
  };
  /** How this opening commits. */
  readonly commitMode: CommitMode;

  readonly #connection: MongodbConnection;
  readonly #access: StoreAccess;
  readonly #prefix: string;
  readonly #random: Random;
  readonly #tail: Tail;
  readonly #contents: Contents;
  readonly #way: CommitWay;
  readonly #committer: Committer;
  #meta: StoreMeta | null = null;
  #closing: Promise<void> | null = null;

  private constructor(connection: MongodbConnection, prefix: string, options: MongodbStoreOptions) {
    const { commandTimeoutMs: maxTimeMS = 30_000, clock = systemClock, random = systemRandom } = options;
    const { database, client, mode, replicated } = connection;
    const level = replicated ? ("majority" as const) : ("local" as const);
    const settings = {
      readPreference: "primary" as const,
      readConcern: { level },
      writeConcern: { w: "majority" as const, journal: true },
      ignoreUndefined: true,
    };
    const documents: Collection<StoreDocument> = database.collection(`${prefix}${COLLECTIONS.documents}`, settings);
    const chunks: Collection<ChunkDocument> = database.collection(`${prefix}${COLLECTIONS.chunks}`, settings);
    this.url = connection.where;
    this.commitMode = mode;
    this.#connection = connection;
    this.#prefix = prefix;
    this.#random = random;
    this.#access = { documents, where: connection.where, maxTimeMS, clock, writer: `${randomText(random, 12)}.` };
    this.#tail = new Tail(this.#access);
    this.#contents = new Contents(chunks, random, maxTimeMS);
    const sessions = mode === "transaction" ? new Sessions(this.#access, database) : null;
    this.#way =
      sessions === null ? new SingleDocumentWay(this.#access) : new TransactionWay(this.#access, client, sessions);
    this.#committer = new Committer(this.#access, this.#tail, this.#way, sessions, random);
  }

  /** Connects to a server. STORE_UNREACHABLE, ACCESS_DENIED, ENGINE_UNSUITABLE, PEER_MISSING, INVALID_ARGUMENT. */
  static async open(options: MongodbStoreOptions): Promise<MongodbStore> {
    const { url, client, database, commit } = options;
    const address = url === undefined ? null : readAddress(url);
    const prefix = checkPrefix(options.prefix ?? address?.prefix ?? "memento_");
    const wanted = checkMode(commit ?? address?.commit ?? "auto");
    let connection: MongodbConnection;
    if (address !== null) connection = await connectUrl(address, wanted);
    else if (client !== undefined && database !== undefined) connection = await borrowClient(client, database, wanted);
    else
      throw new MementoError(
        "INVALID_ARGUMENT",
        "A store on MongoDB needs a url, or a client and the name of a database",
      );
    const store = new MongodbStore(connection, prefix, options);
    try {
      // The first question that needs an account: a wrong password shows now.
      await store.#ask(async () => await readFacts(store.#access));
      return store;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** As `open`, with nothing but a URL. */
  static async openUrl(url: string): Promise<MongodbStore> {
    return await MongodbStore.open({ url });
  }

  async meta(): Promise<StoreMeta | null> {
    this.#checkOpen();
    this.#meta ??= await this.#ask(async () => await readFacts(this.#access));
    return this.#meta && { ...this.#meta };
  }

  /** ENGINE_UNSUITABLE where the server lets two writers win one race: that is tried before the store is made. */
  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    const existing = await this.meta();
    if (existing !== null) return existing;
    await this.#ask(async () => {
      const { documents, where, maxTimeMS } = this.#access;
      await makeCollections(this.#connection.database, this.#prefix, maxTimeMS);
      await proveExclusion(documents, where, this.#random, maxTimeMS);
      await keys.storeKey(this.#access, integrityKey);
      const facts = { at: 0, meta: JSON.stringify(meta), integrityKey: integrityKey.id, lastNotice: 0 };
      try {
        await documents.insertOne({ _id: FACTS, ...facts }, { maxTimeMS });
      } catch (error) {
        // Those of the first caller are in force.
        if (!isDuplicate(error)) throw error;
      }
    });
    return await this.#facts();
  }

  async keys(): Promise<readonly KeyRecord[]> {
    return await this.#read(async () => await keys.readKeys(this.#access));
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    await this.#facts();
    return await this.#change(async () => await keys.rewrapKey(this.#access, key, expectedRing));
  }

  async retireKey(id: string): Promise<boolean> {
    return await this.#commit(keys.retireChange(this.#access, id));
  }

  /** The engine decides when the bytes of a document that was changed are written over. */
  async dropKey(id: string): Promise<boolean> {
    return await this.#commit(keys.dropChange(this.#access, id));
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    return await this.#commit(changes.timelineChange(this.#access, record, lease));
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await this.#find({ _id: timelineKey(key) }, timelineOf);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    return await this.#find({ address: addressText(address) }, timelineOf);
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    const { documents, maxTimeMS } = this.#access;
    const filter = caretaker === null ? {} : { of: caretaker };
    for (let last = 0; ;) {
      const page = await this.#read(async () => {
        const options = { sort: { made: 1 as const }, limit: TIMELINES_AT_ONCE, maxTimeMS };
        return await documents.find({ ...filter, made: { $gt: last } }, options).toArray();
      });
      for (const document of page) {
        last = Number(document["made"]);
        yield timelineOf(document);
      }
      if (page.length < TIMELINES_AT_ONCE) return;
    }
  }

  async acquireLease(change: LeaseChange): Promise<boolean> {
    return await this.#commit(changes.leaseChange(change));
  }

  async renewLease({ timeline, lease }: LeaseChange): Promise<TimelineState | null> {
    if (lease.owner === null) return null;
    return await this.#changeLease(timeline, lease, lease.owner, {});
  }

  async releaseLease({ timeline, lease }: LeaseChange, owner: string): Promise<boolean> {
    return (await this.#changeLease(timeline, lease, owner, { request: null })) !== null;
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    await this.#facts();
    const { documents, maxTimeMS } = this.#access;
    const found = await this.#change(
      async () => await documents.updateOne({ _id: timelineKey(timeline) }, { $set: { request } }, { maxTimeMS }),
    );
    if (found.matchedCount === 0) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { sealed } = this.#meta ?? (await this.#facts());
    this.#checkOpen();
    const header = checkBatch(batch, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const firsts = new Map(batch.records.toReversed().map(({ entry }) => [entry.timeline, entry]));
    const places = [...firsts.values()].map(({ timeline, sequence, id }) => ({ timeline, sequence, id }));
    if (batch.dataKey !== null)
      await this.#ask(async () => await keys.storeKey(this.#access, batch.dataKey as KeyRecord));
    const stowed = {
      header: await this.#stow(batch.header, { places }),
      body: await this.#stow(batch.body, { places }),
    };
    const results = await this.#commit(changes.appendChange(batch, header, stowed));
    if (results.every(({ outcome }) => outcome !== "appended")) await this.#discard([stowed.header, stowed.body]);
    return results;
  }

  async read(id: string): Promise<StoredMemento | null> {
    return await this.#read(async () => await readMemento(this.#access, this.#contents, id));
  }

  async glance(id: string): Promise<PackGlance | null> {
    return await this.#read(async () => await glanceAt(this.#access, id));
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    return await this.#find({ _id: nameKey(caretaker, name) }, changes.holderOf);
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    await this.#facts();
    const rows = new MementoRows(this.#access, this.#tail, () => this.#checkOpen());
    yield* this.#told(scanLog(rows, query));
  }

  async remove(ids: readonly string[], notice: Uint8Array): Promise<readonly string[]> {
    const header = await this.#stowNotice(notice);
    return await this.#commit(changes.removeChange(this.#access, ids, notice, header));
  }

  async note(notice: Uint8Array): Promise<void> {
    const header = await this.#stowNotice(notice);
    await this.#commit(changes.noteChange(notice, header));
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    let [packs, bytes] = [0, 0];
    for (let start = 0; start === 0 || start < ids.length; start += RECLAIMED_AT_ONCE) {
      const some = ids.slice(start, start + RECLAIMED_AT_ONCE);
      const reclaimed = await this.#commit(reclaimChange(this.#access, some));
      await this.#discard(reclaimed.freed);
      packs += reclaimed.packs;
      bytes += reclaimed.bytes;
    }
    return { packs, bytes };
  }

  /** Deletes the bytes that writers left behind which died before their commit. The engine uses the space again by itself. */
  async compact(): Promise<number> {
    await this.#facts();
    return await this.#change(async () => await sweepContents(this.#access, this.#contents));
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const { sealed } = this.#meta ?? (await this.#facts());
    const understood = checkReplacement(replacement, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const [target] = await this.#read(async () => await changes.findMementos(this.#access, replacement.ids));
    if (target === undefined) return false;
    const { header, body, dataKey, expectedHeaderDigest: expectedDigest } = replacement;
    if (dataKey !== null) await this.#ask(async () => await keys.storeKey(this.#access, dataKey));
    const wants = { commit: Math.floor(target.order / 2 ** 20), expectedDigest };
    const stowed = {
      header: await this.#stow(header, wants),
      body: body === null ? null : await this.#stow(body, wants),
    };
    const replaced = await this.#commit(replaceChange(this.#access, this.#contents, replacement, understood, stowed));
    await this.#discard(replaced.freed);
    return replaced.done;
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    const last = readCursor(after);
    await this.#facts();
    const open = (): void => this.#checkOpen();
    yield* this.#told(readCommits(this.#access, this.#tail, this.#contents, last, open));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await this.#find({ _id: caretakerKey(name) }, changes.caretakerOf);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    const { documents, maxTimeMS } = this.#access;
    const filter = { is: "caretaker" };
    const found = await this.#read(async () => await documents.find(filter, { maxTimeMS }).toArray());
    return found.flatMap((document) => changes.caretakerOf(document) ?? []);
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    const header = await this.#stowNotice(notice);
    return await this.#commit(changes.caretakerChange(record, notice, header));
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    const header = await this.#stowNotice(notice);
    return await this.#commit(changes.removeCaretakerChange(this.#access, name, notice, header));
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    await this.#facts();
    const rebuilt = await this.#change(
      async () => await rebuildIndex(this.#access, this.#tail, this.#contents, authority, dryRun),
    );
    if (!dryRun && rebuilt.changes.length > 0) {
      // What others remember of the store is out of date from here on: a commit tells them.
      this.#tail.forget();
      await this.#commit({
        groups: false,
        prepare: async () => ({ draft: changes.hiddenDraft([]), answer: undefined }),
      });
    }
    return rebuilt;
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    return await this.#read(async () => await salvagePack(this.#access, this.#contents, id));
  }

  async *check(): AsyncIterable<StoreDamage> {
    await this.#facts();
    yield* this.#told(findDamage(this.#access, this.#tail, this.#contents));
  }

  async engine(): Promise<EngineFacts> {
    return await this.#read(async () => {
      const { database } = this.#connection;
      const { version } = await database.command({ buildInfo: 1 });
      let bytes = 0;
      for (const name of Object.values(COLLECTIONS)) {
        const { storageSize, totalIndexSize } = await database.command({ collStats: `${this.#prefix}${name}` });
        bytes += Number(storageSize ?? 0) + Number(totalIndexSize ?? 0);
      }
      return { name: "MongoDB protocol", version: String(version), bytes, freeBytes: null };
    });
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    try {
      await this.#committer.finish();
      await this.#way.close();
    } finally {
      await this.#connection.close();
    }
  }

  async #commit<T>(change: Change<T>): Promise<T> {
    if (this.#meta === null) await this.#facts();
    this.#checkOpen();
    return await this.#ask(async () => await this.#committer.commit(change));
  }

  async #changeLease(
    timeline: string,
    lease: Lease,
    owner: string,
    fields: Readonly<Record<string, null>>,
  ): Promise<TimelineState | null> {
    await this.#facts();
    const { documents, maxTimeMS } = this.#access;
    const filter = { _id: timelineKey(timeline), epoch: lease.epoch, owner };
    const update = { $set: { ...leaseFields(lease), ...fields } };
    const options = { returnDocument: "after" as const, maxTimeMS };
    const found = await this.#change(async () => await documents.findOneAndUpdate(filter, update, options));
    return found === null ? null : timelineOf(found);
  }

  async #find<T>(
    filter: { readonly _id: string } | { readonly address: string },
    read: (document: StoreDocument) => T,
  ): Promise<T | null> {
    const { documents, maxTimeMS } = this.#access;
    return await this.#read(async () => {
      const found = await documents.findOne(filter, { maxTimeMS });
      return found === null ? null : read(found);
    });
  }

  /** Reads what every acknowledged commit has left. */
  async #read<T>(work: () => Promise<T>): Promise<T> {
    return await this.#ask(async () => await this.#tail.read(work));
  }

  /** Changes something outside the log, once what others left half done is completed: it may be about the same. */
  async #change<T>(work: () => Promise<T>): Promise<T> {
    return await this.#ask(async () => {
      await this.#tail.settle();
      return await work();
    });
  }

  /** Asks the server, and puts its refusals into our words. */
  async #ask<T>(work: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    try {
      return await work();
    } catch (error) {
      this.#checkOpen();
      throw failureOf(error, this.url);
    }
  }

  async *#told<T>(items: AsyncIterable<T>): AsyncIterable<T> {
    try {
      for await (const item of items) {
        yield item;
        this.#checkOpen();
      }
    } catch (error) {
      this.#checkOpen();
      throw failureOf(error, this.url);
    }
  }

  async #stow(bytes: Uint8Array, wants: ContentWants): Promise<Stowed> {
    return await this.#ask(async () => await this.#contents.stow(bytes, wants));
  }

  /** A notice's header belongs to no place; chunks of one that was not committed are swept at once. */
  async #stowNotice(notice: Uint8Array): Promise<Stowed> {
    await this.#facts();
    return await this.#stow(notice, { places: [] });
  }

  async #discard(contents: readonly (Stowed | null)[]): Promise<void> {
    for (const content of contents) await this.#ask(async () => await this.#contents.discard(content));
  }

  async #facts(): Promise<StoreMeta> {
    const meta = await this.meta();
    if (meta === null) throw new MementoError("NOT_A_STORE", `${this.url} holds no store yet`);
    return meta;
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new MementoError("STORE_CLOSED", `${this.url} is closed`);
  }
}

function checkPrefix(prefix: string): string {
  if (/^[A-Za-z0-9_.-]{0,60}$/u.test(prefix) && !prefix.startsWith("system.")) return prefix;
  throw new MementoError("INVALID_ARGUMENT", "The prefix of a store's collections has letters, digits, _ . and - only");
}

function checkMode(commit: string): CommitMode | "auto" {
  if (commit === "auto" || commit === "transaction" || commit === "single-document") return commit;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `commit is auto, transaction or single-document, not ${JSON.stringify(commit)}`,
  );
}
