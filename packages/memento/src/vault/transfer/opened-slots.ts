import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { entryAt } from "../archive/append-lines.ts";
import type { OpenedRecord } from "../opened-record.ts";
import type { MementoReader, NearbyRecords } from "../reader.ts";
import { recordAt, type OpenedPack } from "../repack.ts";

/** Opened packs are kept up to here, for the deltas of later ones to be put together. */
const NEAR_BYTES_MAX = 64 * 1_048_576;
const NEAR_MAX = 512;

/**
 * Checks every piece that travels before it is sealed anew: its content, put together from deltas where it is one, must
 * have the digest that was written. The seals were opened before.
 */
export class SlotChecks {
  readonly #reader: MementoReader;
  readonly #near: NearbyRecords = new Map();
  readonly #bytes = new Map<string, number>();
  #nearBytes = 0;
  /** Pieces of removed mementos that were checked because a live one needs them. */
  readonly #checked = new Set<string>();

  constructor(reader: MementoReader) {
    this.#reader = reader;
  }

  /** Checks live slots of a pack. `isRemoved` says of which mementos nothing but what others need was promised. DAMAGED, naming the memento. */
  async check(pack: OpenedPack, slots: readonly number[], isRemoved: (id: string) => boolean): Promise<void> {
    for (const slot of slots) {
      const record = recordAt(pack, slot);
      const { id } = entryAt(pack, slot);
      if (record === null) throw new MementoError("DAMAGED", `Nothing is left of memento ${id}`, { details: { id } });
      const { manifest } = record;
      this.#remember(record, bytesOf(pack));
      for (const [key, { base, digest }] of manifest.held) {
        // What is held whole needs nobody else.
        if (base === null && sha256(record.held(key)) === digest) continue;
        await this.#reader.content(record, key, this.#near);
      }
      for (const [key, ref] of manifest.layer.changes) {
        if (ref === null || ref.holder === id || !isRemoved(ref.holder)) continue;
        const piece = `${ref.holder} ${key}`;
        if (this.#checked.has(piece)) continue;
        await this.#reader.chain(ref, key, id, this.#near);
        this.#checked.add(piece);
      }
    }
    this.#forget();
  }

  #remember(record: OpenedRecord, bytes: number): void {
    const { id } = record.entry;
    this.#near.set(id, record);
    this.#bytes.set(id, bytes);
    this.#nearBytes += bytes;
  }

  /** The ones that deltas build on are near each other; those of long ago are let go. */
  #forget(): void {
    for (const id of this.#near.keys()) {
      if (this.#near.size <= NEAR_MAX && this.#nearBytes <= NEAR_BYTES_MAX) return;
      this.#near.delete(id);
      this.#nearBytes -= this.#bytes.get(id) ?? 0;
      this.#bytes.delete(id);
    }
  }
}

const bytesOf = ({ sections, header }: OpenedPack): number =>
  sections.reduce((sum, { length }) => sum + length, 0) / header.entries.length;
