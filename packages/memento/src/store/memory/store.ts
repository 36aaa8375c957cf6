import { freemem } from "node:os";

import { MementoError } from "../../core/errors.ts";
import type { Lease, TimelineAddress, TimelineRecord, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import { admit, checkBatch, keyRetired, caretakerMoved } from "../admit.ts";
import { mementoQuery, type MementoQuery } from "../query.ts";
import { checkReplacement, mayReplace } from "../replacement.ts";
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
import { addressText, copy, deepFreeze, holds, nameText, salvageOf, slotsOf, type MemoryTimeline } from "./copies.ts";
import { MemoryLog } from "./log.ts";

/** Keeps everything in this process and nothing after it: for tests, and for runs that need no memory. */
export class MemoryStore implements MementoStore {
  readonly url = "memory:";
  readonly supports: StoreSupports = {
    durable: false,
    sharedBy: "process",
    bodyBytesMax: 2 ** 31 - 1,
    reclaimsSpace: true,
  };

  #meta: StoreMeta | null = null;
  #closed = false;
  readonly #keys = new Map<string, KeyRecord>();
  /** Ids that are not to come back. */
  readonly #droppedKeys = new Set<string>();
  readonly #timelines = new Map<string, MemoryTimeline>();
  readonly #addresses = new Map<string, string>();
  readonly #names = new Map<string, string>();
  readonly #caretakers = new Map<string, CaretakerRecord>();
  readonly #log = new MemoryLog();

  private constructor() {}

  /** A new, empty store that nobody else sees. */
  static async open(): Promise<MemoryStore> {
    return new MemoryStore();
  }

  async meta(): Promise<StoreMeta | null> {
    this.#checkOpen();
    return structuredClone(this.#meta);
  }

  async create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta> {
    this.#checkOpen();
    if (this.#meta === null) {
      this.#meta = structuredClone(meta);
      this.#keys.set(integrityKey.id, structuredClone(integrityKey));
    }
    return structuredClone(this.#meta);
  }

  async keys(): Promise<readonly KeyRecord[]> {
    this.#checkOpen();
    return structuredClone([...this.#keys.values()]);
  }

  async rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean> {
    this.#facts();
    const stored = this.#keys.get(key.id);
    if (stored === undefined || stored.ring !== expectedRing) return false;
    this.#keys.set(key.id, { ...stored, ring: key.ring, wrapped: key.wrapped });
    return true;
  }

  async retireKey(id: string): Promise<boolean> {
    this.#facts();
    const key = this.#keys.get(id);
    if (key?.purpose === "integrity") throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be retired");
    if (key !== undefined) this.#keys.set(id, { ...key, retired: true });
    return key !== undefined;
  }

  async dropKey(id: string): Promise<boolean> {
    this.#facts();
    if (this.#keys.get(id)?.purpose === "integrity")
      throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be dropped");
    if (this.#keys.has(id)) this.#droppedKeys.add(id);
    return this.#keys.delete(id);
  }

  async createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState> {
    this.#facts();
    const address = addressText(record);
    const existing = this.#addresses.get(address);
    if (existing !== undefined) return this.#state(existing) as TimelineState;
    if (this.#timelines.has(record.key))
      throw new MementoError("INVALID_ARGUMENT", `The timeline key ${record.key} is taken`);
    this.#timelines.set(record.key, {
      record: structuredClone(record),
      head: null,
      lease: structuredClone(lease),
      request: null,
    });
    this.#addresses.set(address, record.key);
    return this.#state(record.key) as TimelineState;
  }

  async timeline(key: string): Promise<TimelineState | null> {
    this.#checkOpen();
    return this.#state(key);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    this.#checkOpen();
    return this.#state(this.#addresses.get(addressText(address)) ?? "");
  }

  async *timelines(caretaker: string | null): AsyncIterable<TimelineState> {
    this.#checkOpen();
    for (const { record } of this.#timelines.values()) {
      this.#checkOpen();
      const state = caretaker === null || record.caretaker === caretaker ? this.#state(record.key) : null;
      if (state !== null) yield state;
    }
  }

  async acquireLease({ timeline, lease }: LeaseChange): Promise<boolean> {
    this.#facts();
    const stored = this.#timelines.get(timeline);
    if (stored === undefined || stored.lease.epoch !== lease.epoch - 1) return false;
    stored.lease = structuredClone(lease);
    return true;
  }

  async renewLease({ timeline, lease }: LeaseChange): Promise<TimelineState | null> {
    this.#facts();
    const stored = this.#timelines.get(timeline);
    if (stored === undefined || !holds(stored.lease, lease.epoch, lease.owner)) return null;
    stored.lease = structuredClone(lease);
    return this.#state(timeline);
  }

  async releaseLease({ timeline, lease }: LeaseChange, owner: string): Promise<boolean> {
    this.#facts();
    const stored = this.#timelines.get(timeline);
    if (stored === undefined || !holds(stored.lease, lease.epoch, owner)) return false;
    stored.lease = structuredClone(lease);
    stored.request = null;
    return true;
  }

  async requestOf(timeline: string, request: TimelineRequest | null): Promise<void> {
    this.#facts();
    const stored = this.#timelines.get(timeline);
    if (stored === undefined) throw new MementoError("NOT_FOUND", `There is no timeline ${timeline}`);
    stored.request = request;
  }

  async append(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { sealed } = this.#facts();
    const { entries, dataKey } = checkBatch(batch, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const { results, accepted, heads, names } = admit(batch, {
      timeline: (key) => {
        const stored = this.#timelines.get(key);
        return stored === undefined ? null : { head: stored.head, epoch: stored.lease.epoch };
      },
      holder: (caretaker, name) => this.#names.get(nameText(caretaker, name)) ?? null,
    });
    if (accepted.length === 0) return structuredClone(results);
    this.#demandSealingKey(dataKey);
    this.#addKey(batch.dataKey);
    this.#log.add({
      header: copy(batch.header),
      body: copy(batch.body),
      accepted,
      entries: entries.map((entry) => deepFreeze(entry)),
      removed: new Set(),
    });
    for (const [key, head] of heads) {
      const stored = this.#timelines.get(key);
      if (stored !== undefined) stored.head = head;
    }
    for (const { caretaker, name, id } of names) this.#names.set(nameText(caretaker, name), id);
    return structuredClone(results);
  }

  async read(id: string): Promise<StoredMemento | null> {
    this.#checkOpen();
    const found = this.#log.find(id);
    if (found === null) return null;
    const { commit, slot } = found;
    return {
      slot,
      header: copy(commit.header),
      body: commit.body && copy(commit.body),
      removed: commit.removed.has(slot),
    };
  }

  async findByName(caretaker: string, name: string): Promise<string | null> {
    this.#checkOpen();
    return this.#names.get(nameText(caretaker, name)) ?? null;
  }

  async *query(query: MementoQuery): AsyncIterable<IndexRow> {
    this.#checkOpen();
    for await (const row of scanLog(this.#log, query)) {
      yield row;
      this.#checkOpen();
    }
  }

  async remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]> {
    this.#facts();
    const live = [...new Set(ids)].filter((id) => {
      const found = this.#log.find(id);
      return found !== null && !found.commit.removed.has(found.slot);
    });
    if (live.length > 0 && seen !== undefined && (this.#caretakers.get(seen.name)?.version ?? 0) !== seen.version)
      throw caretakerMoved(seen);
    for (const id of live) {
      const found = this.#log.find(id);
      if (found === null) continue;
      found.commit.removed.add(found.slot);
      const { caretaker, name } = found.entry;
      if (name !== undefined && this.#names.get(nameText(caretaker, name)) === id)
        this.#names.delete(nameText(caretaker, name));
    }
    if (live.length > 0) this.#addNotice(notice);
    return live;
  }

  async note(notice: Uint8Array): Promise<void> {
    this.#facts();
    this.#addNotice(notice);
  }

  async reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }> {
    this.#facts();
    let packs = 0;
    let bytes = 0;
    for (const id of ids) {
      const commit = this.#log.find(id)?.commit;
      if (commit === undefined || commit.body === null || commit.removed.size < commit.accepted.length) continue;
      packs += 1;
      bytes += commit.body.byteLength;
      commit.body = null;
    }
    return { packs, bytes };
  }

  async compact(): Promise<number> {
    this.#facts();
    return 0;
  }

  async replacePack(replacement: PackReplacement): Promise<boolean> {
    const { sealed } = this.#facts();
    const header = checkReplacement(replacement, { sealed, bodyBytesMax: this.supports.bodyBytesMax });
    const found = replacement.ids.map((id) => this.#log.find(id)).find((place) => place !== null);
    if (found === undefined) return false;
    const { commit } = found;
    const before = { header: commit.header, hasBody: commit.body !== null, slots: slotsOf(commit) };
    if (!mayReplace(replacement, header, before)) return false;
    if (replacement.body !== null) this.#demandSealingKey(header.dataKey);
    this.#addKey(replacement.dataKey);
    commit.header = copy(replacement.header);
    commit.body = replacement.body && copy(replacement.body);
    return true;
  }

  async *commits(after: string | null): AsyncIterable<StoredCommit> {
    this.#checkOpen();
    const first = after === null ? 0 : Number(after) + 1;
    if (!Number.isInteger(first) || first < 0)
      throw new MementoError("INVALID_ARGUMENT", "That is no cursor of this log");
    for (let number = first; number < this.#log.commits.length; number++) {
      this.#checkOpen();
      const commit = this.#log.commits[number];
      if (commit === undefined) continue;
      const body = commit.body && copy(commit.body);
      yield { cursor: String(number), header: copy(commit.header), body, accepted: [...commit.accepted] };
    }
  }

  async caretaker(name: string): Promise<CaretakerRecord | null> {
    this.#checkOpen();
    return structuredClone(this.#caretakers.get(name) ?? null);
  }

  async caretakers(): Promise<readonly CaretakerRecord[]> {
    this.#checkOpen();
    return structuredClone([...this.#caretakers.values()]);
  }

  async saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean> {
    this.#facts();
    if ((this.#caretakers.get(record.name)?.version ?? 0) !== record.version - 1) return false;
    this.#caretakers.set(record.name, structuredClone(record));
    this.#addNotice(notice);
    return true;
  }

  async removeCaretaker(name: string, notice: Uint8Array): Promise<boolean> {
    this.#facts();
    if (!this.#caretakers.has(name)) return false;
    for (const row of this.#log.rows(mementoQuery(), null)) {
      if (row.entry.caretaker === name && !row.removed) return false;
    }
    this.#caretakers.delete(name);
    this.#addNotice(notice);
    return true;
  }

  /** Its index is the log itself, so that nothing can differ. */
  async rebuildIndex(_authority: IndexAuthority, _dryRun: boolean): Promise<IndexRebuild> {
    this.#facts();
    return { changes: [], problems: [] };
  }

  async salvage(id: string): Promise<SalvagedPack | null> {
    this.#checkOpen();
    const commit = this.#log.find(id)?.commit;
    return commit === undefined ? null : salvageOf(commit);
  }

  async glance(id: string): Promise<PackGlance | null> {
    this.#checkOpen();
    return this.#log.glance(id);
  }

  async engine(): Promise<EngineFacts> {
    this.#checkOpen();
    return { name: "memory", version: process.version, bytes: this.#log.bytes, freeBytes: freemem() };
  }

  /** Nothing outside this process can change what it holds, so there is never anything to find. */
  async *check(): AsyncIterable<StoreDamage> {
    this.#checkOpen();
    yield* [];
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new MementoError("STORE_CLOSED", "The memory store is closed");
  }

  /** The store's facts, for everything that writes. */
  #facts(): StoreMeta {
    this.#checkOpen();
    if (this.#meta === null) throw new MementoError("NOT_A_STORE", "The store was not made yet: call create() first");
    return this.#meta;
  }

  #state(key: string): TimelineState | null {
    return structuredClone(this.#timelines.get(key) ?? null);
  }

  #demandSealingKey(id: string | null): void {
    if (id !== null && (this.#droppedKeys.has(id) || this.#keys.get(id)?.retired === true)) throw keyRetired(id);
  }

  #addKey(key: KeyRecord | null): void {
    if (key === null || this.#keys.has(key.id) || this.#droppedKeys.has(key.id)) return;
    this.#keys.set(key.id, structuredClone(key));
  }

  #addNotice(notice: Uint8Array): void {
    this.#log.add({ header: copy(notice), body: null, accepted: [], entries: [], removed: new Set() });
  }
}
