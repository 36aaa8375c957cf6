import { hash, timingSafeEqual } from "node:crypto";

import { MementoError } from "../core/errors.ts";
import type { Notice } from "../core/event.ts";
import { canonicalJson, type Json } from "../core/json.ts";
import type { Lease, TimelineRecord } from "../core/timeline.ts";
import type { CaretakerRecord, StoreMeta } from "../store/store.ts";

const HMAC_BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** Longer rows than any head's or lease's are put together in a buffer of their own. */
const ROW_BYTES_MAX = 1_024;

/** Makes and compares the keyed checks (HMAC-SHA256) of a store's own rows: nobody without the key can change or invent one. */
export class RowChecks {
  readonly #key: Uint8Array;
  /** The key's block, and room for what is hashed behind it. */
  readonly #inner = Buffer.alloc(HMAC_BLOCK_BYTES + ROW_BYTES_MAX);
  readonly #outer = Buffer.alloc(HMAC_BLOCK_BYTES + DIGEST_BYTES);

  constructor(key: Uint8Array) {
    // What stands in a larger buffer would be cloned with all of it.
    this.#key = Uint8Array.from(key);
    const block = Buffer.alloc(HMAC_BLOCK_BYTES);
    block.set(key);
    this.#inner.set(block.map((byte) => byte ^ 0x36));
    this.#outer.set(block.map((byte) => byte ^ 0x5c));
  }

  /** The key, for checks that are made in another thread. A member that is not private would be printed with whatever holds this. */
  key(): Uint8Array {
    return this.#key;
  }

  meta(meta: Omit<StoreMeta, "check">): string {
    return this.#check(["meta", meta.format, meta.id, meta.sealed, meta.created]);
  }

  timeline(record: Omit<TimelineRecord, "check">): string {
    const { key, caretaker, originator, partition, fork, kind, created, forkedFrom } = record;
    return this.#check(["timeline", key, caretaker, originator, partition, fork, kind, created, forkedFrom]);
  }

  head(timeline: string, id: string, sequence: number): string {
    return this.#check(["head", timeline, id, sequence]);
  }

  lease(timeline: string, lease: Omit<Lease, "check">): string {
    const holder =
      lease.holder === null
        ? null
        : [lease.holder.host, lease.holder.bootId, lease.holder.pid, lease.holder.processStart];
    return this.#check(["lease", timeline, lease.epoch, lease.owner, lease.expiresAt, holder]);
  }

  caretaker(record: Omit<CaretakerRecord, "check">): string {
    return this.#check(["caretaker", record.name, record.created, record.version, record.policy]);
  }

  notice(notice: Notice): string {
    return this.#check(["notice", notice as unknown as Json]);
  }

  /** Throws DAMAGED, naming `what`, unless the two checks are equal. */
  demand(what: string, found: string, wanted: string): void {
    const [a, b] = [Buffer.from(found), Buffer.from(wanted)];
    if (a.length === b.length && timingSafeEqual(a, b)) return;
    throw new MementoError("DAMAGED", `${what} was changed: its keyed check does not fit`);
  }

  /** HMAC-SHA256 (RFC 2104) by two one-shot hashes: a save makes one, and an Hmac object costs it twice as much. */
  #check(fields: Json): string {
    this.#outer.set(hash("sha256", this.#behindKey(canonicalJson(fields)), "buffer"), HMAC_BLOCK_BYTES);
    return hash("sha256", this.#outer, "base64url");
  }

  #behindKey(text: string): Buffer {
    // No character takes more than three bytes for each of its code units.
    if (3 * text.length <= ROW_BYTES_MAX)
      return this.#inner.subarray(0, HMAC_BLOCK_BYTES + this.#inner.write(text, HMAC_BLOCK_BYTES, "utf8"));
    return Buffer.concat([this.#inner.subarray(0, HMAC_BLOCK_BYTES), Buffer.from(text, "utf8")]);
  }
}
