import { createHash, hkdfSync } from "node:crypto";

import { isMementoError, MementoError } from "../core/errors.ts";
import type { Notice, NoticeKind } from "../core/event.ts";
import { checkName, newTimelineKey, randomText } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { OriginatorKind } from "../core/memento.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../core/ports.ts";
import { describeAddress, type Lease, type TimelineAddress, type TimelineState } from "../core/timeline.ts";
import { encodeHeader, FORMAT_VERSION } from "../store/header.ts";
import type { KeyRecord, MementoStore, StoreMeta } from "../store/store.ts";
import { RowChecks } from "./checks.ts";
import type { Compression } from "./compression.ts";
import { DataKeys, newKeyRecord, unwrapKey } from "./data-keys.ts";
import type { KeyRing } from "./keys/key-ring.ts";
import { OpenedMemento } from "./opened-memento.ts";
import { PackQueue } from "./pack-queue.ts";
import { KnownArrays, type PieceCapture } from "./piece-capture.ts";
import { PieceChains } from "./piece-change.ts";
import { MementoReader } from "./reader.ts";
import { TimelineWriter, type WriterGround } from "./timeline-writer.ts";
import { Timings } from "./timings.ts";

/** How to open a vault. */
export interface VaultOptions {
  /** The keys; null for a store that is not sealed. */
  readonly keys: KeyRing | null;
  readonly clock?: Clock;
  readonly random?: Random;
  /** False: a place without a store is refused with NOT_A_STORE. Default true: a store is made there. */
  readonly create?: boolean;
}

/** Values in, sealed bytes out: codec, keys and store in one. The only thing that upper layers hold. */
export class Vault implements AsyncDisposable {
  readonly store: MementoStore;
  readonly meta: StoreMeta;
  readonly checks: RowChecks;
  readonly reader: MementoReader;
  /** The ring that the store's own keys are wrapped by; null for a store that is not sealed. */
  readonly ring: KeyRing | null;
  /** null for a store that is not sealed. */
  readonly dataKeys: DataKeys | null;
  readonly clock: Clock;
  readonly random: Random;
  /** How long saves and loads took in this process. */
  readonly timings = new Timings();
  readonly #queue: PackQueue;
  readonly #chains = new PieceChains();
  readonly #arrays = new KnownArrays();
  readonly #integrityKey: Uint8Array;

  private constructor(
    store: MementoStore,
    meta: StoreMeta,
    integrity: Uint8Array,
    keys: { readonly ring: KeyRing; readonly data: DataKeys } | null,
    clock: Clock,
    random: Random,
  ) {
    this.store = store;
    this.meta = meta;
    this.checks = new RowChecks(integrity);
    this.#integrityKey = integrity;
    this.ring = keys?.ring ?? null;
    this.dataKeys = keys?.data ?? null;
    this.clock = clock;
    this.random = random;
    this.reader = new MementoReader(store, this.dataKeys);
    this.#queue = new PackQueue(store, { keys: this.dataKeys, checks: this.checks }, random, clock);
  }

  /** Opens the vault over a store, and takes the store over: closing the vault closes it. KEY_MISSING, KEY_WRONG, NOT_A_STORE, FORMAT_UNKNOWN, DAMAGED. */
  static async open(store: MementoStore, options: VaultOptions): Promise<Vault> {
    const { keys, clock = systemClock, random = systemRandom, create = true } = options;
    const meta = (await store.meta()) ?? (create ? await createStore(store, keys, clock, random) : null);
    if (meta === null) throw new MementoError("NOT_A_STORE", `There is no store at ${store.url}`);
    if (meta.format !== FORMAT_VERSION) {
      throw new MementoError(
        "FORMAT_UNKNOWN",
        `The store at ${store.url} is of format ${meta.format}; this release reads ${FORMAT_VERSION}`,
      );
    }
    const ring = meta.sealed ? keys : null;
    if (meta.sealed && ring === null)
      throw new MementoError("KEY_MISSING", `The store at ${store.url} is sealed and no key was given`);
    const integrity = await integrityKey(store, meta, ring);
    const checks = new RowChecks(integrity);
    checks.demand(`The head record of the store at ${store.url}`, meta.check, checks.meta(meta));
    const data = ring === null ? null : new DataKeys(store, ring, clock, random);
    return new Vault(store, meta, integrity, ring === null || data === null ? null : { ring, data }, clock, random);
  }

  /** A secret of 32 bytes for one purpose: always the same for a sealed store, and nobody can tell the store's keys from it. null for a store that is not sealed, which has no secrets. */
  derivedSecret(purpose: string): Uint8Array | null {
    if (this.ring === null) return null;
    return new Uint8Array(hkdfSync("sha256", this.#integrityKey, this.meta.id, purpose, 32));
  }

  /** The timeline with this address, verified; made where there is none. NAME_INVALID; EXISTS where a pipeline's is meant to be another's, or the other way round. */
  async ensureTimeline(
    address: TimelineAddress,
    kind: OriginatorKind,
    forkedFrom: string | null = null,
  ): Promise<TimelineState> {
    const { caretaker, originator, partition, fork } = address;
    for (const [what, name] of Object.entries({ caretaker, originator, partition, fork }))
      if (name !== "") checkName(`The ${what}`, name);
    const found = await this.findTimeline(address);
    if (found !== null) return demandKind(found, kind);
    const created = new Date(this.clock.now()).toISOString();
    const fixed = {
      key: newTimelineKey(this.random),
      caretaker,
      originator,
      partition,
      fork,
      kind,
      created,
      forkedFrom,
    };
    const lease = { epoch: 0, owner: null, expiresAt: 0, holder: null };
    const state = await this.store.createTimeline(
      { ...fixed, check: this.checks.timeline(fixed) },
      { ...lease, check: this.checks.lease(fixed.key, lease) },
    );
    return demandKind(this.verified(state), kind);
  }

  async findTimeline(address: TimelineAddress): Promise<TimelineState | null> {
    const state = await this.store.findTimeline(address);
    return state === null ? null : this.verified(state);
  }

  /** The timeline with this key; NOT_FOUND where there is none. */
  async timeline(key: string): Promise<TimelineState> {
    const state = await this.store.timeline(key);
    if (state === null) throw new MementoError("NOT_FOUND", `There is no timeline ${key}`);
    return this.verified(state);
  }

  /** Returns the state, or throws DAMAGED when one of its keyed checks does not fit. */
  verified(state: TimelineState): TimelineState {
    const { record, head, lease } = state;
    const where = describeAddress(record);
    this.checks.demand(`The record of timeline ${where}`, record.check, this.checks.timeline(record));
    this.checks.demand(`The lease of timeline ${where}`, lease.check, this.checks.lease(record.key, lease));
    if (head !== null)
      this.checks.demand(
        `The head of timeline ${where}`,
        head.check,
        this.checks.head(record.key, head.id, head.sequence),
      );
    return state;
  }

  /** A writer for a timeline under its present epoch, standing on its present head. */
  async writer(state: TimelineState): Promise<TimelineWriter> {
    return this.writerAt(state, state.head === null ? null : await this.load(state.head.id));
  }

  /** A writer for a timeline under its present epoch, standing on a head that was loaded already; a save is refused with CONFLICT when it is another one by now. */
  writerAt(state: TimelineState, head: WriterGround | null): TimelineWriter {
    return new TimelineWriter(state.record, state.lease.epoch, head, {
      queue: this.#queue,
      reader: this.reader,
      chains: this.#chains,
      arrays: this.#arrays,
      clock: this.clock,
      random: this.random,
      onSaved: (timeline, ms) => this.timings.add("save", timeline, ms),
    });
  }

  /** A capture for the states of one caretaker, or the like: what it remembers counts with that of all others. */
  newCapture(): PieceCapture {
    return this.#arrays.newCapture();
  }

  /** Reads and verifies a memento: seal, digests and directory. NOT_FOUND, DAMAGED. */
  async load(id: string): Promise<OpenedMemento> {
    return await OpenedMemento.open(this.reader, id);
  }

  /**
   * What `work` reads of a live memento; null where there is none, or it was removed and its space freed meanwhile. What is
   * live and cannot be read is NOT_FOUND or DAMAGED as for `load`.
   */
  async readLive<T>(id: string, work: (memento: OpenedMemento) => T | Promise<T>): Promise<T | null> {
    try {
      const memento = await this.load(id);
      return memento.removed ? null : await work(memento);
    } catch (error) {
      if (!isMementoError(error, "NOT_FOUND") && !isMementoError(error, "DAMAGED")) throw error;
      const now = await this.store.read(id);
      if (now === null || now.removed) return null;
      throw error;
    }
  }

  /** A live memento; null as for `readLive`. */
  async loadLive(id: string): Promise<OpenedMemento | null> {
    return await this.readLive(id, (memento) => memento);
  }

  /** How a caretaker's mementos are compressed from now on, as long as the vault is open. */
  compress(caretaker: string, compression: Compression): void {
    this.#queue.compress(caretaker, compression);
  }

  /** Completes a lease with its keyed check. */
  leaseOf(timeline: string, lease: Omit<Lease, "check">): Lease {
    return { ...lease, check: this.checks.lease(timeline, lease) };
  }

  /** The bytes of a notice, ready for the store's log. */
  notice(
    kind: NoticeKind,
    about: Pick<Notice, "caretaker" | "timeline" | "mementos">,
    details: JsonObject = {},
  ): Uint8Array {
    const notice: Notice = { kind, ...about, at: new Date(this.clock.now()).toISOString(), details };
    return encodeHeader({ v: FORMAT_VERSION, type: "notice", notice, check: this.checks.notice(notice) });
  }

  /** Waits for saves under way and closes the store; may be called again. */
  async close(): Promise<void> {
    await this.#queue.idle();
    await this.store.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** What a pipeline keeps is no state of a caretaker's: a save would take all of it for gone, offsets and marks of sinks too. */
function demandKind(state: TimelineState, kind: OriginatorKind): TimelineState {
  const ofPipeline = state.record.kind === "pipeline";
  if (ofPipeline === (kind === "pipeline")) return state;
  const where = describeAddress(state.record);
  throw new MementoError(
    "EXISTS",
    ofPipeline ? `${where} is the timeline of a pipeline` : `${where} is a timeline of saved states, not of a pipeline`,
    {
      hint: `Give ${ofPipeline ? "what you save" : "the pipeline"} another name, or another caretaker.`,
      details: { timeline: state.record.key },
    },
  );
}

async function createStore(
  store: MementoStore,
  ring: KeyRing | null,
  clock: Clock,
  random: Random,
): Promise<StoreMeta> {
  const fixed = {
    format: FORMAT_VERSION,
    id: `s${randomText(random, 15)}`,
    sealed: ring !== null,
    created: new Date(clock.now()).toISOString(),
  };
  const { record, key } =
    ring === null ? unsealedKey(fixed.id, fixed.created) : await newKeyRecord(ring, "integrity", "", clock, random);
  return await store.create({ ...fixed, check: new RowChecks(key).meta(fixed) }, record);
}

async function integrityKey(store: MementoStore, meta: StoreMeta, ring: KeyRing | null): Promise<Uint8Array> {
  if (ring === null) return unsealedKey(meta.id, meta.created).key;
  const record = (await store.keys()).find(({ purpose }) => purpose === "integrity");
  if (record === undefined) throw new MementoError("DAMAGED", `The store at ${store.url} has lost its integrity key`);
  return await unwrapKey(ring, record);
}

/** A store that is not sealed still finds accidents: its checks are keyed by what anybody can see. */
function unsealedKey(storeId: string, created: string): { readonly record: KeyRecord; readonly key: Uint8Array } {
  const key = createHash("sha256").update(`memento unsealed ${storeId}`).digest();
  return { key, record: { id: "unsealed", purpose: "integrity", group: "", ring: "none", wrapped: "", created } };
}
