import { MementoError } from "../../core/errors.ts";
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
  SeenCaretaker,
} from "../store.ts";
import * as changes from "./changes.ts";
import { findDamage } from "./check.ts";
import { readCommits, readCursor } from "./commits.ts";
import type { CommitMode } from "./connection.ts";
import {
  addressText,
  caretakerKey,
  FACTS,
  leaseFields,
  nameKey,
  timelineKey,
  timelineOf,
  type StoreDocument,
} from "./documents.ts";
import { MongodbEngine } from "./engine.ts";
import { isDuplicate } from "./failure.ts";
import * as keys from "./keys.ts";
import { connect, type MongodbStoreOptions } from "./options.ts";
import { glanceAt, readMemento, reclaimChange, replaceChange, salvagePack } from "./packs.ts";
import { proveExclusion } from "./prove.ts";
import { rebuildIndex } from "./rebuild.ts";
import { makeCollections } from "./schema.ts";
import { MementoRows } from "./search.ts";
import { sweepContents } from "./sweep.ts";

const RECLAIMED_AT_ONCE = 200;
const TIMELINES_AT_ONCE = 200;

/**
 * Keeps a store in two collections of a MongoDB database, written with `w: "majority", j: true` and read from the primary.
 * `open` connects and changes nothing; the collections are made by `create`. Waits are bounded: 5 s to find a server, 10 s to connect, 60 s
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
  readonly #engine: MongodbEngine;

  private constructor(engine: MongodbEngine) {
    this.#engine = engine;
    this.url = engine.access.where;
    this.commitMode = engine.mode;
  }

  /** Connects to a server. STORE_UNREACHABLE, ACCESS_DENIED, ENGINE_UNSUITABLE, PEER_MISSING, INVALID_ARGUMENT. */
  static async open(options: MongodbStoreOptions): Promise<MongodbStore> {
    const { connection, prefix } = await connect(options);
    const engine = new MongodbEngine(connection, prefix, options);
    try {
      // The first question that needs an account: a wrong password shows now.
      await engine.meta();
      return new MongodbStore(engine);
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
    const meta = await this.#engine.meta();
    return meta && { ...meta };
  }

  /** ENGINE_UNSUITABLE where the server lets two writers win one race: that is tried before the store is made. */
  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    const existing = await this.meta();
    if (existing !== null) return existing;
    await this.#engine.ask(async () => {
      const { documents, where, maxTimeMS } = this.#engine.access;
      await makeCollections(this.#engine.database, this.#engine.prefix, maxTimeMS);
      await proveExclusion(documents, where, this.#engine.random, maxTimeMS);
      await keys.storeKey(this.#engine.access, integrityKey);
      const facts = { at: 0, meta: JSON.stringify(meta), integrityKey: integrityKey.id, lastNotice: 0 };
      try {
        await documents.insertOne({ _id: FACTS, ...facts }, { maxTimeMS });
      } catch (error) {
        // Those of the first caller are in force.
        if (!isDuplicate(error)) throw error;
      }
    });
    return { ...(await this.#engine.facts()) };
  }

  async keys(): Promise<readonly KeyRecord[]> {
    return await this.#engine.read(async () => await keys.readKeys(this.#engine.access));
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    return await this.#engine.change(async () => await keys.rewrapKey(this.#engine.access, key, expectedRing));
  }

  async retireKey(id: string): Promise<boolean> {
    return await this.#engine.commit(keys.retireChange(this.#engine.access, id));
  }

  /** The engine decides when the bytes of a document that was changed are written over. */
  async dropKey(id: string): Promise<boolean> {
    return await this.#engine.commit(keys.dropChange(this.#engine.access, id));
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    return await this.#engine.commit(changes.timelineChange(this.#engine.access, record, lease));
  }

  async timeline(key: string): Promise<TimelineState | null> {
    return await this.#find({ _id: timelineKey(key) }, timelineOf);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    return await this.#find({ address: addressText(address) }, timelineOf);
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    const { documents, maxTimeMS } = this.#engine.access;
    const filter = caretaker === null ? {} : { of: caretaker };
    for (let last = 0; ;) {
      const page = await this.#engine.read(async () => {
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
    return await this.#engine.commit(changes.leaseChange(change));
  }

  async renewLease({ timeline, lease }: LeaseChange): Promise<TimelineState | null> {
    if (lease.owner === null) return null;
    return await this.#changeLease(timeline, lease, lease.owner, {});
  }

  async releaseLease({ timeline, lease }: LeaseChange, owner: string): Promise<boolean> {
    return (await this.#changeLease(timeline, lease, owner, { request: null })) !== null;
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    await this.#engine.facts();
    const { documents, maxTimeMS } = this.#engine.access;
    const found = await this.#engine.change(
      async () => await documents.updateOne({ _id: timelineKey(timeline) }, { $set: { request } }, { maxTimeMS }),
    );
    if (found.matchedCount === 0) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { sealed } = await this.#engine.facts();
    this.#engine.checkOpen();
    const header = checkBatch(batch, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const firsts = new Map(batch.records.toReversed().map(({ entry }) => [entry.timeline, entry]));
    const places = [...firsts.values()].map(({ timeline, sequence, id }) => ({ timeline, sequence, id }));
    if (batch.dataKey !== null)
      await this.#engine.ask(async () => await keys.storeKey(this.#engine.access, batch.dataKey as KeyRecord));
    const stowed = {
      header: await this.#engine.stow(batch.header, { places }),
      body: await this.#engine.stow(batch.body, { places }),
    };
    const results = await this.#engine.commit(changes.appendChange(batch, header, stowed));
    if (results.every(({ outcome }) => outcome !== "appended"))
      await this.#engine.discard([stowed.header, stowed.body]);
    return results;
  }

  async read(id: string): Promise<StoredMemento | null> {
    return await this.#engine.read(async () => await readMemento(this.#engine.access, this.#engine.contents, id));
  }

  async glance(id: string): Promise<PackGlance | null> {
    return await this.#engine.read(async () => await glanceAt(this.#engine.access, id));
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    return await this.#find({ _id: nameKey(caretaker, name) }, changes.holderOf);
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    await this.#engine.facts();
    const rows = new MementoRows(this.#engine.access, this.#engine.tail, () => this.#engine.checkOpen());
    yield* this.#engine.told(scanLog(rows, query));
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    const header = await this.#engine.stowNotice(notice);
    return await this.#engine.commit(changes.removeChange(this.#engine.access, ids, { notice, header, seen }));
  }

  async note(notice: Uint8Array): Promise<void> {
    const header = await this.#engine.stowNotice(notice);
    await this.#engine.commit(changes.noteChange(notice, header));
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    let [packs, bytes] = [0, 0];
    for (let start = 0; start === 0 || start < ids.length; start += RECLAIMED_AT_ONCE) {
      const some = ids.slice(start, start + RECLAIMED_AT_ONCE);
      const reclaimed = await this.#engine.commit(reclaimChange(this.#engine.access, some));
      await this.#engine.discard(reclaimed.freed);
      packs += reclaimed.packs;
      bytes += reclaimed.bytes;
    }
    return { packs, bytes };
  }

  /** Deletes the bytes that writers left behind which died before their commit. The engine uses the space again by itself. */
  async compact(): Promise<number> {
    return await this.#engine.change(async () => await sweepContents(this.#engine.access, this.#engine.contents));
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const { sealed } = await this.#engine.facts();
    const understood = checkReplacement(replacement, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const [target] = await this.#engine.read(
      async () => await changes.findMementos(this.#engine.access, replacement.ids),
    );
    if (target === undefined) return false;
    const { header, body, dataKey, expectedHeaderDigest: expectedDigest } = replacement;
    if (dataKey !== null) await this.#engine.ask(async () => await keys.storeKey(this.#engine.access, dataKey));
    const wants = { commit: Math.floor(target.order / 2 ** 20), expectedDigest };
    const stowed = {
      header: await this.#engine.stow(header, wants),
      body: body === null ? null : await this.#engine.stow(body, wants),
    };
    const replaced = await this.#engine.commit(
      replaceChange(this.#engine.access, this.#engine.contents, replacement, understood, stowed),
    );
    await this.#engine.discard(replaced.freed);
    return replaced.done;
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    const last = readCursor(after);
    await this.#engine.facts();
    const open = (): void => this.#engine.checkOpen();
    yield* this.#engine.told(readCommits(this.#engine.access, this.#engine.tail, this.#engine.contents, last, open));
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    return await this.#find({ _id: caretakerKey(name) }, changes.caretakerOf);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    const { documents, maxTimeMS } = this.#engine.access;
    const filter = { is: "caretaker" };
    const found = await this.#engine.read(async () => await documents.find(filter, { maxTimeMS }).toArray());
    return found.flatMap((document) => changes.caretakerOf(document) ?? []);
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    const header = await this.#engine.stowNotice(notice);
    return await this.#engine.commit(changes.caretakerChange(record, notice, header));
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    const header = await this.#engine.stowNotice(notice);
    return await this.#engine.commit(changes.removeCaretakerChange(this.#engine.access, name, notice, header));
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    await this.#engine.facts();
    const rebuilt = await this.#engine.change(
      async () => await rebuildIndex(this.#engine.access, this.#engine.tail, this.#engine.contents, authority, dryRun),
    );
    if (!dryRun && rebuilt.changes.length > 0) {
      // What others remember of the store is out of date from here on: a commit tells them.
      this.#engine.tail.forget();
      await this.#engine.commit({
        groups: false,
        prepare: async () => ({ draft: changes.hiddenDraft([]), answer: undefined }),
      });
    }
    return rebuilt;
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    return await this.#engine.read(async () => await salvagePack(this.#engine.access, this.#engine.contents, id));
  }

  async *check(): AsyncIterable<StoreDamage> {
    await this.#engine.facts();
    yield* this.#engine.told(findDamage(this.#engine.access, this.#engine.tail, this.#engine.contents));
  }

  async engine(): Promise<EngineFacts> {
    return await this.#engine.read(async () => await this.#engine.describe());
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #changeLease(
    timeline: string,
    lease: Lease,
    owner: string,
    fields: Readonly<Record<string, null>>,
  ): Promise<TimelineState | null> {
    await this.#engine.facts();
    const { documents, maxTimeMS } = this.#engine.access;
    const filter = { _id: timelineKey(timeline), epoch: lease.epoch, owner };
    const update = { $set: { ...leaseFields(lease), ...fields } };
    const options = { returnDocument: "after" as const, maxTimeMS };
    const found = await this.#engine.change(async () => await documents.findOneAndUpdate(filter, update, options));
    return found === null ? null : timelineOf(found);
  }

  async #find<T>(
    filter: { readonly _id: string } | { readonly address: string },
    read: (document: StoreDocument) => T,
  ): Promise<T | null> {
    const { documents, maxTimeMS } = this.#engine.access;
    return await this.#engine.read(async () => {
      const found = await documents.findOne(filter, { maxTimeMS });
      return found === null ? null : read(found);
    });
  }
}
