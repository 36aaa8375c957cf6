import assert from "node:assert/strict";

import { sha256, sha256OfJson } from "../../core/digest.ts";
import type { Notice, NoticeKind } from "../../core/event.ts";
import { newMementoId, newTimelineKey, randomText } from "../../core/ids.ts";
import type { Json, JsonObject } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { Lease, TimelineRecord } from "../../core/timeline.ts";
import { encodeHeader, FORMAT_VERSION } from "../../store/header.ts";
import type {
  AppendBatch,
  AppendRecord,
  AppendResult,
  CaretakerRecord,
  KeyRecord,
  MementoStore,
  StoreMeta,
} from "../../store/store.ts";
import { ManualClock } from "../manual-clock.ts";
import { SeededRandom } from "../seeded-random.ts";

/** What a test sets in a record; all else is filled in. */
export interface RecordOptions extends Partial<MementoEntry> {
  readonly replaceName?: boolean;
  readonly expectedSequence?: number;
}

/** What a test sets in a batch. */
export interface BatchOptions {
  readonly dataKey?: KeyRecord;
  readonly suite?: "A256GCM" | "S256";
  readonly body?: Uint8Array;
}

/**
 * Makes everything that a store takes, without a vault. Every `check` is a SHA-256 over the row, and every body ends
 * with one over header and body, so that a test can tell changed bytes as a vault would.
 */
export class StoreFixture {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  created(): string {
    return new Date(this.clock.now()).toISOString();
  }

  meta(sealed = false): StoreMeta {
    return checked({ format: FORMAT_VERSION, id: randomText(this.random, 12), sealed, created: this.created() });
  }

  key(purpose: KeyRecord["purpose"], group = "etl"): KeyRecord {
    const facts = { id: randomText(this.random, 12), purpose, group, ring: "ring-1", created: this.created() };
    return { ...facts, wrapped: wrappedText(facts, randomText(this.random, 20)) };
  }

  timelineRecord(options: Partial<TimelineRecord> = {}): TimelineRecord {
    const { check: _, ...facts } = {
      key: newTimelineKey(this.random),
      caretaker: "etl",
      originator: `flights-${randomText(this.random, 4)}`,
      partition: "",
      fork: "",
      kind: "pipeline" as const,
      created: this.created(),
      forkedFrom: null,
      check: "",
      ...options,
    };
    return checked(facts);
  }

  lease(epoch: number, owner: string | null = `owner-${epoch}`): Lease {
    const holder = owner === null ? null : { host: "h", bootId: "b", pid: 1, processStart: "7" };
    return checked({ epoch, owner, expiresAt: owner === null ? 0 : this.clock.now() + 30_000, holder });
  }

  caretaker(name: string, version: number, policy: JsonObject = {}): CaretakerRecord {
    return checked({ name, created: this.created(), version, policy: JSON.stringify(policy) });
  }

  notice(kind: NoticeKind, options: Partial<Notice> = {}): Uint8Array {
    const notice: Notice = {
      kind,
      caretaker: "etl",
      timeline: null,
      mementos: [],
      at: this.created(),
      details: {},
      ...options,
    };
    return encodeHeader({ v: FORMAT_VERSION, type: "notice", notice, check: sha256(JSON.stringify(notice)) });
  }

  /** A pack of these records, in their order. Its body is random, and grows by a byte with each pack. */
  batch(records: readonly AppendRecord[], options: BatchOptions = {}): AppendBatch {
    const content = options.body ?? this.random.bytes(40 + (this.random.integer(2) + records.length));
    const header = encodeHeader({
      v: FORMAT_VERSION,
      type: "pack",
      suite: options.suite ?? "S256",
      dataKey: options.dataKey?.id ?? null,
      nonce: "",
      sections: [{ codec: "none", plainBytes: content.byteLength, sealedBytes: content.byteLength + 32 }],
      entries: records.map(({ entry }) => entry),
    });
    const body = Buffer.concat([content, packTrailer(header, content)]);
    return { header, body, records, dataKey: options.dataKey ?? null };
  }

  /** A new timeline in the store, its lease taken with epoch 1. */
  async timeline(store: MementoStore, options: Partial<TimelineRecord> = {}): Promise<TestTimeline> {
    const record = this.timelineRecord(options);
    await store.createTimeline(record, this.lease(0, null));
    assert.equal(
      await store.acquireLease({ timeline: record.key, lease: this.lease(1) }),
      true,
      "the lease of a new timeline is free",
    );
    return new TestTimeline(this, record);
  }
}

/** A timeline as its only writer knows it. */
export class TestTimeline {
  readonly #fixture: StoreFixture;
  readonly facts: TimelineRecord;
  epoch = 1;
  sequence = 0;
  parent: string | null = null;

  constructor(fixture: StoreFixture, facts: TimelineRecord) {
    this.#fixture = fixture;
    this.facts = facts;
  }

  get key(): string {
    return this.facts.key;
  }

  /** The record for the next place; does not move on, so that two may be made for one place. */
  record(options: RecordOptions = {}): AppendRecord {
    const { replaceName = false, expectedSequence = this.sequence, ...members } = options;
    const sequence = expectedSequence + 1;
    const entry: MementoEntry = {
      id: newMementoId(this.key, sequence, this.#fixture.random),
      timeline: this.key,
      sequence,
      parent: this.parent,
      epoch: this.epoch,
      generation: 0,
      caretaker: this.facts.caretaker,
      originator: this.facts.originator,
      kind: this.facts.kind,
      reason: "save",
      status: "saved",
      created: this.#fixture.created(),
      labels: {},
      metadata: {},
      sizes: { logicalBytes: 100, heldBytes: 100 },
      ...members,
    };
    return { entry, expectedSequence, headCheck: headCheck(this.key, entry.id, sequence), replaceName };
  }

  /** Makes a record for the next place and moves on behind it. */
  next(options: RecordOptions = {}): AppendRecord {
    const record = this.record(options);
    this.sequence = record.entry.sequence;
    this.parent = record.entry.id;
    return record;
  }

  /** Appends one memento, alone in its pack, and expects it to be taken. */
  async save(store: MementoStore, options: RecordOptions = {}): Promise<MementoEntry> {
    const record = this.next(options);
    expectAppended(await store.append(this.#fixture.batch([record])));
    return record.entry;
  }
}

/** Fails unless every record was appended. */
export function expectAppended(results: readonly AppendResult[]): void {
  for (const result of results) assert.deepEqual(result, { outcome: "appended" });
}

/** The check of a timeline's head, as the fixture makes it. */
export function headCheck(timeline: string, id: string, sequence: number): string {
  return sha256(`${timeline} ${id} ${sequence}`);
}

/** The last 32 bytes of a pack's body: a SHA-256 over header and content. */
export function packTrailer(header: Uint8Array, content: Uint8Array): Uint8Array {
  return Buffer.from(sha256(Buffer.concat([header, content])), "base64url");
}

/** A wrapped key's text, as the fixture makes it: it ends with a check over itself and all that goes with it. */
export function wrappedText(key: Omit<KeyRecord, "wrapped">, secret: string): string {
  const { id, purpose, group, ring, created } = key;
  return `${secret}.${sha256OfJson([id, purpose, group, ring, created, secret])}`;
}

/** Adds the check over all members of a row, as the fixture makes it. */
function checked<T extends { readonly [K in keyof T]: unknown }>(row: T): T & { readonly check: string } {
  return { ...row, check: rowCheck(row) };
}

/** The check over all members of a row but its own. */
export function rowCheck(row: object): string {
  const { check: _, ...members } = row as Record<string, unknown>;
  return sha256OfJson(members as { [key: string]: Json });
}
