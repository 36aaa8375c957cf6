import type { MementoEntry } from "../core/memento.ts";
import type {
  TimelineAddress,
  TimelineHead,
  TimelineRecord,
  TimelineRequest,
  TimelineState,
  Lease,
} from "../core/timeline.ts";
import type { ApartAppender } from "./apart.ts";
import type { NoticeHeader } from "./header.ts";
import type { MementoQuery } from "./query.ts";

/** What a store is able to do, as data. Where a field says no, the store refuses with CAPABILITY_MISSING or documents the loss. */
export interface StoreSupports {
  /** True: what was acknowledged survives kill -9 and power loss. */
  readonly durable: boolean;
  /** How far apart the processes may be that share one store. */
  readonly sharedBy: "process" | "machine" | "network";
  /** The largest body of one commit, in bytes. */
  readonly bodyBytesMax: number;
  /** True: the space of reclaimed bodies is given back or used again. */
  readonly reclaimsSpace: boolean;
}

/** What a store says of itself; written once, when it is made. */
export interface StoreMeta {
  /** The format version of the whole store; 1 today. */
  readonly format: number;
  readonly id: string;
  /** True: only sealed commits are taken. */
  readonly sealed: boolean;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** Keyed check over all of the above. */
  readonly check: string;
}

/** A data key, wrapped by a key of the ring. The wrapping authenticates id, purpose and group. */
export interface KeyRecord {
  readonly id: string;
  /** `data` seals bodies; `integrity` makes the keyed checks of the store's own rows. */
  readonly purpose: "data" | "integrity";
  /** The unit of sharing; pieces are never shared across groups. */
  readonly group: string;
  /** Which key of the ring wraps it. */
  readonly ring: string;
  /** The wrapped key, base64url. */
  readonly wrapped: string;
  /** Set once it was retired: it opens, and seals nothing any more. */
  readonly retired?: true;
  /** ISO 8601, UTC. */
  readonly created: string;
}

/** A caretaker as a store keeps it. */
export interface CaretakerRecord {
  readonly name: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** Grows by one with each change; a change names the version that it read. */
  readonly version: number;
  /** The policy as canonical JSON text. */
  readonly policy: string;
  /** Keyed check over all of the above. */
  readonly check: string;
}

/** A caretaker as somebody has seen it: the version of its record, 0 for none. */
export type SeenCaretaker = Pick<CaretakerRecord, "name" | "version">;

/** What of an entry decides whether it is appended, and where. */
export type EntryPlace = Pick<MementoEntry, "id" | "timeline" | "sequence" | "epoch" | "caretaker" | "name">;

/** One record of a batch: its clear entry and the conditions under which it may become the head. */
export interface AppendRecord<Entry extends EntryPlace = MementoEntry> {
  readonly entry: Entry;
  /** The sequence number that the timeline's head must have; 0 for an empty timeline. */
  readonly expectedSequence: number;
  /** The check of the head that this record becomes. */
  readonly headCheck: string;
  /** True: the name moves here from the memento that has it. False: a taken name refuses the record. */
  readonly replaceName: boolean;
}

/** One atomic commit: a sealed pack and the records inside it. `records[i]` is slot `i` of the pack. */
export interface AppendBatch<Entry extends EntryPlace = MementoEntry> {
  /** The pack's authenticated clear header; see docs/format.md. */
  readonly header: Uint8Array;
  /** The pack's sealed body. */
  readonly body: Uint8Array;
  readonly records: readonly AppendRecord<Entry>[];
  /** A data key that the store may not have yet; stored before, or together with, the pack. */
  readonly dataKey: KeyRecord | null;
}

/** What became of one record of a batch. */
export type AppendResult =
  | { readonly outcome: "appended" }
  /** The head was another one; nothing of this timeline was stored. */
  | { readonly outcome: "conflict"; readonly head: TimelineHead | null }
  /** The lease's epoch is not the record's; nothing of this timeline was stored. */
  | { readonly outcome: "fenced"; readonly epoch: number }
  /** The name belongs to another live memento; nothing of this timeline was stored. */
  | { readonly outcome: "exists"; readonly id: string };

/** An index row: what a query gives. */
export interface IndexRow {
  readonly entry: MementoEntry;
  /** Bytes of the sealed pack that holds it, shared by all of the pack's slots. */
  readonly packBytes: number;
  /** Tells packs apart, by the store's own name for them. In the order of the log the rows of one pack follow one another. */
  readonly pack: string;
  readonly removed: boolean;
  /** Hand it to a query of the same filter and order to go on after this row. */
  readonly cursor: string;
}

/** One commit of the log. */
export interface StoredCommit {
  /** Hand it to `commits` to go on after this one. */
  readonly cursor: string;
  readonly header: Uint8Array;
  /** null once reclaimed, and for notices, which have none. */
  readonly body: Uint8Array | null;
  /** The slots that were appended; the others of the pack had been refused. */
  readonly accepted: readonly number[];
}

/** A pack that takes the place of another one that has the same mementos in the same slots. */
export interface PackReplacement {
  /** Mementos of the pack; it is found by the first of them that is there. */
  readonly ids: readonly string[];
  readonly header: Uint8Array;
  /** null: nothing but the header is kept, as after `reclaim`; only where every slot is removed. */
  readonly body: Uint8Array | null;
  /**
   * SHA-256 (base64url) of the stored header that is to be replaced. null: whichever it is, an unreadable or missing
   * one too; that is for repair, and of two who do so at once the later one stays.
   */
  readonly expectedHeaderDigest: string | null;
  /** A data key that the store may not have yet; stored before, or together with, the pack. */
  readonly dataKey: KeyRecord | null;
}

/** A memento's pack as it lies in the store. */
export interface StoredMemento {
  readonly slot: number;
  readonly header: Uint8Array;
  /** null once reclaimed. */
  readonly body: Uint8Array | null;
  readonly removed: boolean;
}

/** What a store can tell of a memento's pack without giving its bytes. */
export interface PackGlance {
  readonly slot: number;
  readonly removed: boolean;
  /** SHA-256 (base64url) of the stored header. Of a sealed pack it names header and body, whose nonce is never used twice. */
  readonly headerDigest: string;
  /** null once reclaimed. */
  readonly bodyBytes: number | null;
}

/** What a driver can tell of the engine below it. */
export interface EngineFacts {
  /** The engine's own name, as "SQLite" or "PostgreSQL". */
  readonly name: string;
  readonly version: string;
  /** What the store takes up in the engine; null where that cannot be told. */
  readonly bytes: number | null;
  /** What is left where the engine keeps it; null where that cannot be told. */
  readonly freeBytes: number | null;
}

/** Something structurally wrong that the store itself can see without a key. */
export interface StoreDamage {
  /** One sentence: what is wrong and where. */
  readonly problem: string;
  readonly mementos: readonly string[];
  readonly timeline: string | null;
}

/** What is left of a pack, and what the index says is in it. */
export interface SalvagedPack {
  /** The bytes as they lie there, in no certain form; empty when they are gone. */
  readonly bytes: Uint8Array;
  /** What seem to be its header and body: nothing has been checked. null where they are gone, or cannot be told apart. */
  readonly header: Uint8Array | null;
  readonly body: Uint8Array | null;
  readonly mementos: readonly { readonly id: string; readonly slot: number; readonly removed: boolean }[];
}

/** What a store asks of whoever holds the integrity key while it makes its index anew. */
export interface IndexAuthority {
  /** True when the notice's keyed check fits: only then is it believed. */
  isGenuine(header: NoticeHeader): boolean;
  headCheck(timeline: string, id: string, sequence: number): string;
  /** A lease of this epoch that nobody holds. */
  freeLease(timeline: string, epoch: number): Lease;
  /** The state with checks (and a lease that nobody holds) made anew, where its own do not fit and that was agreed to; null: as it is. */
  mendedTimeline(state: TimelineState): TimelineState | null;
  /** A notice's header bytes, to stand for a commit that is lost; these mementos are marked as removed by it. */
  lostCommit(commit: string, removed: readonly string[]): Uint8Array;
}

/** What making an index anew came to. */
export interface IndexRebuild {
  /** What differs from what the commits say: written anew, unless it was a dry run. */
  readonly changes: readonly StoreDamage[];
  /** What the commits cannot say. */
  readonly problems: readonly StoreDamage[];
}

/** The wish to hold a timeline's lease; granted only while its epoch is still `lease.epoch - 1`. */
export interface LeaseChange {
  readonly timeline: string;
  readonly lease: Lease;
}

/**
 * The port to storage: keys and bytes, never values. Every driver passes the conformance kit (`@mementojs/memento/testing`).
 *
 * Guarantees of every method: what it reports as done is done for all processes that share the store (P1 where
 * `supports.durable`), a crash leaves the state of before or after and nothing between (P2), and errors are MementoErrors:
 * DAMAGED for bytes that are not what was written, LOCKED for an engine's lock, DISK_FULL, IO_FAILED, STORE_CLOSED.
 * An answer that was lost may be asked for by id: `read` and `timeline` tell whether an append took place.
 */
export interface MementoStore extends AsyncDisposable {
  /** The store's URL without secrets, for people. */
  readonly url: string;
  readonly supports: StoreSupports;

  /** The store's own facts; null for a place that holds no store yet. */
  meta(): Promise<StoreMeta | null>;
  /** Makes the store where there is none. Returns the facts that are in force: those of the first caller when several race. */
  create(meta: StoreMeta, integrityKey: KeyRecord): Promise<StoreMeta>;

  /** Every wrapped key. */
  keys(): Promise<readonly KeyRecord[]>;
  /** Replaces a key's wrapping (same id), when the stored wrapping is still by `expectedRing`; false otherwise. */
  rewrapKey(key: KeyRecord, expectedRing: string): Promise<boolean>;
  /**
   * Retires a data key, before it is destroyed: it stays readable, and no pack that is sealed under it is taken any more.
   * When this resolves, no append that was under way anywhere can still bring one, however long it was held up. May be
   * repeated. False when there is no such key; INVALID_ARGUMENT for the integrity key.
   */
  retireKey(id: string): Promise<boolean>;
  /**
   * Destroys a data key: its record is gone, its bytes are written over as far as the engine's own files go, and the id
   * stays taken. What is sealed under it can never be opened again, so the caller has sealed anew what must stay.
   * False when there is no such key any more; a repeat finishes what a crash or a lock has left. INVALID_ARGUMENT for the
   * integrity key.
   */
  dropKey(id: string): Promise<boolean>;

  /** Makes a timeline, or returns the one that has this address already. */
  createTimeline(record: TimelineRecord, lease: Lease): Promise<TimelineState>;
  timeline(key: string): Promise<TimelineState | null>;
  findTimeline(address: TimelineAddress): Promise<TimelineState | null>;
  /** All timelines, of one caretaker where given, in the order of their making. */
  timelines(caretaker: string | null): AsyncIterable<TimelineState>;

  /** Takes a lease: its epoch must be one more than the stored one. False, and no change, when it is not. Clears no request. */
  acquireLease(change: LeaseChange): Promise<boolean>;
  /** Prolongs a lease: same epoch and owner as stored. Null when they are not; otherwise the state, with what was requested. */
  renewLease(change: LeaseChange): Promise<TimelineState | null>;
  /** Gives a lease up: `lease.owner` is null and its epoch unchanged. False when `owner` no longer holds it. Clears the request. */
  releaseLease(change: LeaseChange, owner: string): Promise<boolean>;
  /** Leaves a request for whoever holds the timeline; null takes it back. */
  requestOf(timeline: string, request: TimelineRequest | null): Promise<void>;

  /**
   * Appends a batch in one commit. Records of one timeline are appended all or none, in their order; other timelines of
   * the batch are not affected by a refusal. One result per record, in the same order.
   * A record is refused unless the head's sequence is `expectedSequence` and the lease's epoch is `entry.epoch`.
   * Throws PLAINTEXT_REFUSED for an unsealed pack in a sealed store, and KEY_RETIRED for one under a data key that was retired or
   * destroyed; timelines of the batch may have moved before that (`timeline` tells).
   */
  append(batch: AppendBatch): Promise<readonly AppendResult[]>;
  /** The same by another thread, which makes the pack too; for stores that keep such a thread. */
  readonly apart?: ApartAppender;
  /** One memento's pack; null when there is no such memento. Removed ones are given as long as their body is there. */
  read(id: string): Promise<StoredMemento | null>;
  /** The live memento of a caretaker that has this name; null when none has. */
  findByName(caretaker: string, name: string): Promise<string | null>;
  /** Index rows, streamed with flat memory. */
  query(query: MementoQuery): AsyncIterable<IndexRow>;
  /**
   * Marks mementos as removed (already removed and unknown ones are passed over), frees their names, and logs the notice; all in
   * one commit. Returns the ids that were live. With `seen`, CONFLICT, and no change, where something would be removed and that caretaker
   * has another version by then: what its record said when it was looked at holds for the removal.
   */
  remove(ids: readonly string[], notice: Uint8Array, seen?: SeenCaretaker): Promise<readonly string[]>;
  /** Logs a notice (its header bytes) as a commit of its own. */
  note(notice: Uint8Array): Promise<void>;
  /** Drops the bodies of packs in which every accepted slot is removed. Returns how many packs and bytes were freed. */
  reclaim(ids: readonly string[]): Promise<{ readonly packs: number; readonly bytes: number }>;
  /** Gives space that was freed back to the file system, where the engine keeps it for itself; returns the bytes, 0 elsewhere. LOCKED while others keep it from that. */
  compact(): Promise<number>;
  /**
   * Replaces a commit's header and body, in one commit, by a pack with the same mementos in the same slots; the index, the
   * log's order and every cursor stay as they are. False, and no change, when none of the mementos is there, when the
   * stored header has another digest than the expected one, or when a digest is expected and the body was reclaimed.
   * INVALID_ARGUMENT for other mementos or other entries; PLAINTEXT_REFUSED and KEY_RETIRED as for `append`.
   */
  replacePack(replacement: PackReplacement): Promise<boolean>;
  /** The log after a cursor (null: from the start), in an order in which no reader later meets an event from before its cursor. */
  commits(after: string | null): AsyncIterable<StoredCommit>;

  caretaker(name: string): Promise<CaretakerRecord | null>;
  caretakers(): Promise<readonly CaretakerRecord[]>;
  /** Stores a caretaker and logs the notice; false when the stored version is not `record.version - 1` (0 for none). */
  saveCaretaker(record: CaretakerRecord, notice: Uint8Array): Promise<boolean>;
  /** Removes a caretaker that has no live mementos and logs the notice; false when it has some, or does not exist. */
  removeCaretaker(name: string, notice: Uint8Array): Promise<boolean>;

  /**
   * Compares the index (where mementos lie, what is removed, names, heads, and what a driver keeps besides) with what the
   * commits say, and writes anew what differs; with `dryRun` it only says so. Nothing that a keyed check covers is changed
   * but heads, by `authority`, and those only where the commits name another memento. Each step leaves the store no worse;
   * a repeat finds nothing more to do. Nobody else writes meanwhile.
   */
  rebuildIndex(authority: IndexAuthority, dryRun: boolean): Promise<IndexRebuild>;
  /** A memento's pack as it lies there, unjudged, to be set aside before it is given up; null when no such memento has one. */
  salvage(id: string): Promise<SalvagedPack | null>;
  /**
   * What `read` would tell of a memento at this moment, without the pack's bytes: what caches and comparisons of two stores ask.
   * Left out by drivers for which it would cost as much as reading. null when there is no such memento.
   */
  glance?(id: string): Promise<PackGlance | null>;
  /**
   * What `read` gave of a memento cannot be opened: whatever is kept of its pack outside the store is not given again, but read
   * from the store anew. Left out by stores that keep nothing.
   */
  distrust?(id: string): Promise<void>;
  /** The engine's name, version and space; left out by drivers that cannot tell. For people: nothing is decided by it. */
  engine?(): Promise<EngineFacts>;
  /** What is structurally wrong, as far as the store can see without a key. Empty for a sound store. */
  check(): AsyncIterable<StoreDamage>;
  /** Releases what the store holds; may be called again. */
  close(): Promise<void>;
}
