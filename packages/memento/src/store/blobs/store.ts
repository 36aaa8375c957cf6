import { MementoError } from "../../core/errors.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import type { MementoQuery } from "../query.ts";
import { checkReplacement } from "../replacement.ts";
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
import { appendBatch } from "./append.ts";
import type { BlobPlace } from "./blob-port.ts";
import { Caretakers } from "./caretakers.ts";
import { Catalogue, type OpenTimeline, type StoreParts } from "./catalogue.ts";
import { checkStore } from "./check.ts";
import { readCommits } from "./commits.ts";
import { proveConditions } from "./conditions.ts";
import { Facts } from "./facts.ts";
import { Keys } from "./keys.ts";
import { Leases } from "./leases.ts";
import { STREAM_BYTES_MAX } from "./log-reader.ts";
import { Mementos } from "./mementos.ts";
import { Names } from "./names.ts";
import { Packs } from "./packs.ts";
import { StorePaths } from "./paths.ts";
import { queryRows } from "./query.ts";
import { rebuildIndex } from "./rebuild.ts";
import { RecentEntries } from "./recent-entries.ts";
import { reclaimPacks, removeMementos } from "./removal.ts";
import { replacePack } from "./replacing.ts";
import { timelineRows } from "./rows.ts";
import { Stamps } from "./stamps.ts";
import { inOrder } from "./turns.ts";

/** What `BlobStore` takes besides its place. */
export interface BlobStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * A store on blobs, by nothing but create-if-absent: the engine of the file driver and of the object stores.
 *
 * What is written rests on two things. A blob that is created if absent has one writer, whoever else tries; a log is
 * a folder of such blobs with the numbers 1, 2, 3, ..., so writing the next number is a compare-and-swap (`log.ts`). And
 * every blob is there whole or not at all (`blob-port.ts`).
 *
 * Each timeline has a log (`timeline-log.ts`): a batch's records are one entry, leases stand in the same line. Each
 * caretaker has one (`caretaker-log.ts`): its records, its timelines, its notices, and all removals. Every call of the
 * port is decided by one entry of one log, except that `append` is one entry in each timeline's. `paths.ts` shows where
 * everything lies.
 *
 * Known limits: the newest entry of a log can vanish without trace when somebody deletes its blob before the log's state
 * was written down (see `BlobTuning.stateEveryMin`; on release and on close too); a crash in an append can leave a pack
 * that nobody speaks of; log entries stay for ever; `commits` looks at every timeline and its cursor grows with their number.
 */
export class BlobStore implements MementoStore {
  readonly url: string;
  readonly supports: StoreSupports;

  readonly #place: BlobPlace;
  readonly #random: Random;
  readonly #parts: StoreParts;
  readonly #catalogue: Catalogue;
  readonly #keys: Keys;
  readonly #facts: Facts;
  readonly #packs: Packs;
  readonly #mementos: Mementos;
  readonly #names: Names;
  readonly #leases: Leases;
  readonly #caretakers: Caretakers;
  /** Keys that this process has retired, everywhere. */
  readonly #retired = new Set<string>();
  #proof: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(place: BlobPlace, { clock, random }: BlobStoreOptions) {
    this.url = place.url;
    this.supports = place.supports;
    this.#place = place;
    this.#random = random;
    const paths = new StorePaths(place.root);
    const { blobs: files, tuning, url } = place;
    this.#parts = { paths, files, tuning, url, recent: new RecentEntries(), stamps: new Stamps(clock), random };
    this.#catalogue = new Catalogue(this.#parts, async () => await this.#facts.confirm());
    this.#keys = new Keys(this.#parts);
    this.#facts = new Facts(this.#parts, this.#keys);
    this.#packs = new Packs(this.#parts);
    this.#mementos = new Mementos(this.#catalogue);
    this.#names = new Names(this.#parts, this.#mementos);
    this.#leases = new Leases(this.#parts);
    this.#caretakers = new Caretakers(this.#parts, this.#catalogue);
  }

  async meta(): Promise<StoreMeta | null> {
    this.#checkOpen();
    return await this.#facts.read();
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    this.#checkOpen();
    const existing = await this.#facts.read();
    if (existing !== null) return existing;
    await this.#proved();
    return await this.#facts.create(meta, integrityKey);
  }

  async keys(): Promise<readonly KeyRecord[]> {
    this.#checkOpen();
    return await this.#facts.keys();
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    await this.#demandStore();
    return await this.#keys.rewrap(key, expectedRing);
  }

  /** An append looks at its key after it has looked at its log, so one that saw the key before this finds that all was voided since. */
  async retireKey(id: string): Promise<boolean> {
    await this.#demandStore();
    const key = await this.#keys.retire(id);
    if (key === null) return false;
    await this.#voidAll(key.group);
    this.#retired.add(id);
    return true;
  }

  async dropKey(id: string): Promise<boolean> {
    await this.#demandStore();
    return await this.#keys.drop(id, async (group) => {
      if (!this.#retired.has(id)) await this.#voidAll(group);
    });
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    await this.#demandStore();
    return await this.#leases.stateOf(await this.#catalogue.make({ record, lease }));
  }

  async timeline(key: string): Promise<TimelineState | null> {
    this.#checkOpen();
    return await this.#stateOf(await this.#catalogue.timeline(key));
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    this.#checkOpen();
    return await this.#stateOf(await this.#catalogue.find(address));
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    this.#checkOpen();
    const { requestsAtOnce } = this.#parts.tuning;
    const all = this.#catalogue.all(caretaker);
    for await (const state of inOrder(all, requestsAtOnce, (timeline) => this.#leases.stateOf(timeline))) {
      yield state;
      this.#checkOpen();
    }
  }

  async acquireLease({ timeline: key, lease }: LeaseChange): Promise<boolean> {
    const timeline = await this.#writable(key);
    return timeline !== null && (await this.#leases.acquire(timeline, lease));
  }

  async renewLease(change: LeaseChange): Promise<TimelineState | null> {
    const timeline = await this.#writable(change.timeline);
    return timeline === null ? null : await this.#leases.renew(timeline, change);
  }

  async releaseLease(change: LeaseChange, owner: string): Promise<boolean> {
    const timeline = await this.#writable(change.timeline);
    return timeline !== null && (await this.#leases.release(timeline, change, owner));
  }

  async requestOf(key: string, request: TimelineRequest | null): Promise<void> {
    const timeline = await this.#writable(key);
    if (timeline === null) throw new MementoError("NOT_FOUND", `There is no timeline ${key}`);
    await this.#leases.request(timeline, request);
  }

  /**
   * Appends a batch; see the contract. Each timeline's records are one log entry of their own, so a reader can meet a
   * batch while some of its timelines have moved and others not yet, and an error can come after some of them have.
   */
  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { sealed } = await this.#demandStore();
    return await appendBatch(
      batch,
      { sealed, bodyBytesMax: this.supports.bodyBytesMax },
      {
        catalogue: this.#catalogue,
        packs: this.#packs,
        keys: this.#keys,
        names: this.#names,
        paths: this.#parts.paths,
        stamps: this.#parts.stamps,
        tuning: this.#parts.tuning,
      },
    );
  }

  async read(id: string): Promise<StoredMemento | null> {
    this.#checkOpen();
    const found = await this.#mementos.find(id);
    if (found === null) return null;
    const { slot } = found.record;
    const [{ header, body, understood }, wasRemoved] = await Promise.all([
      this.#packs.demand(found.append.pack, [id], found.behind),
      this.#mementos.isRemoved(found),
    ]);
    if (understood.entries[slot]?.id !== id) {
      const where = `slot ${slot} of the pack ${found.append.pack}`;
      throw new MementoError("DAMAGED", `Memento ${id} should be in ${where} and is not`, {
        details: { mementos: [id] },
      });
    }
    // It may have been removed and emptied between the two looks.
    const removed = wasRemoved || (body === null && (await this.#mementos.isRemoved(found)));
    return { slot, header, body, removed };
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    this.#checkOpen();
    return (await this.#names.look(caretaker, name)).holder;
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    this.#checkOpen();
    for await (const row of queryRows(this.#catalogue, query)) {
      yield row;
      this.#checkOpen();
    }
  }

  /** Removes mementos of one caretaker; see the contract. INVALID_ARGUMENT when they are of several. */
  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    await this.#demandStore();
    return await removeMementos(this.#removalParts, ids, notice, seen);
  }

  async note(notice: Uint8Array): Promise<void> {
    await this.#demandStore();
    await this.#caretakers.note(notice);
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    await this.#demandStore();
    return await reclaimPacks(this.#removalParts, ids);
  }

  async compact(): Promise<number> {
    await this.#demandStore();
    return 0;
  }

  /** Replaces a pack; see the contract. Index rows go on to tell the size of the pack as it was appended. */
  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const { sealed } = await this.#demandStore();
    const understood = checkReplacement(replacement, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const parts = { keys: this.#keys, packs: this.#packs, mementos: this.#mementos };
    return await replacePack(parts, replacement, understood);
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    this.#checkOpen();
    for await (const commit of readCommits(this.#catalogue, this.#packs, after)) {
      yield commit;
      this.#checkOpen();
    }
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    this.#checkOpen();
    return await this.#caretakers.get(name);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    this.#checkOpen();
    return await this.#caretakers.all();
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    await this.#demandStore();
    return await this.#caretakers.save(record, notice);
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    await this.#demandStore();
    return await this.#caretakers.remove(name, notice);
  }

  async rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild> {
    await this.#demandStore();
    const parts = { ...this.#parts, catalogue: this.#catalogue, packs: this.#packs, names: this.#names };
    this.#keys.forget();
    return await rebuildIndex({ ...parts, leases: this.#leases }, authority, dryRun);
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    this.#checkOpen();
    const found = await this.#mementos.find(id);
    if (found === null) return null;
    const { pack } = found.append;
    const mementos: { id: string; slot: number; removed: boolean }[] = [];
    // A batch across timelines is one pack; only their logs say so once its header does not read.
    for await (const timeline of this.#catalogue.all(null)) {
      await timeline.caretaker.refresh();
      const wanted = { order: "ascending", after: null, heldBytes: STREAM_BYTES_MAX } as const;
      for await (const row of timelineRows(timeline, wanted))
        if (row.pack === pack) mementos.push({ id: row.entry.id, slot: row.slot, removed: row.removed });
    }
    mementos.sort((a, b) => a.slot - b.slot);
    return { ...(await this.#packs.salvage(pack)), mementos };
  }

  async *check(): AsyncIterable<StoreDamage> {
    this.#checkOpen();
    const parts = { ...this.#parts, facts: this.#facts, keys: this.#keys, packs: this.#packs, names: this.#names };
    for await (const damage of checkStore({ ...parts, leases: this.#leases, catalogue: this.#catalogue })) {
      yield damage;
      this.#checkOpen();
    }
  }

  /** Writes down where the logs stand that this process has moved, so that whoever comes next finds their ends at once. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#catalogue.saveStates();
    } finally {
      await this.#place.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Voids whatever anybody was about to append to the timelines of a group of keys. */
  async #voidAll(group: string): Promise<void> {
    const timelines = this.#catalogue.all(group);
    const voided = inOrder(timelines, this.#parts.tuning.requestsAtOnce, (timeline) => this.#leases.voidAll(timeline));
    for await (const _ of voided);
  }

  get #removalParts(): Parameters<typeof removeMementos>[0] {
    return { ...this.#parts, catalogue: this.#catalogue, mementos: this.#mementos, packs: this.#packs };
  }

  async #stateOf(timeline: OpenTimeline | null): Promise<TimelineState | null> {
    return timeline === null ? null : await this.#leases.stateOf(timeline);
  }

  /** The store's facts, for everything that writes. */
  async #demandStore(): Promise<StoreMeta> {
    this.#checkOpen();
    const facts = await this.#facts.demand();
    await this.#proved();
    return facts;
  }

  /** Before the first write, once: that the place keeps what all writing rests on. */
  async #proved(): Promise<void> {
    if (!this.#place.tuning.proveConditions) return;
    this.#proof ??= proveConditions(this.#place, this.#random);
    try {
      await this.#proof;
    } catch (error) {
      this.#proof = null;
      throw error;
    }
  }

  async #writable(key: string): Promise<OpenTimeline | null> {
    await this.#demandStore();
    return await this.#catalogue.timeline(key);
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new MementoError("STORE_CLOSED", `The store at ${this.url} is closed`);
  }
}
