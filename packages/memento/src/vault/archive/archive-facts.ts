import { sha256 } from "../../core/digest.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress } from "../../core/timeline.ts";
import { decodePackHeader } from "../../store/header.ts";
import { MementoSums, type StoreDigest } from "../memento-sums.ts";
import { directNeeds } from "../needs.ts";
import type { MementoManifest } from "../record.ts";
import { manifestOf, openPack, type OpenedPack } from "../repack.ts";
import {
  readItems,
  type CaretakerItem,
  type MementoItem,
  type PackItem,
  type PiecesItem,
  type ReadItem,
  type TimelineItem,
} from "./items.ts";
import { damaged, type ArchiveHeader } from "./layout.ts";
import { readMementoItem, type ArchivedMemento } from "./memento-item.ts";

/** A memento of a file, as far as an import must know it beforehand. */
export interface RecordFact {
  readonly id: string;
  /** null: nothing but its entry is left. */
  readonly digest: string | null;
  readonly removed: boolean;
  readonly name: string | null;
}

/** A timeline of a file. */
export interface LineFacts {
  readonly item: TimelineItem;
  /** Record `i` has the sequence number `i + 1`. */
  readonly records: RecordFact[];
}

/** What a file holds, as found by reading all of it. */
export interface ArchiveFacts {
  readonly header: ArchiveHeader;
  readonly lines: ReadonlyMap<string, LineFacts>;
  /** Policies and pins of caretakers, as canonical JSON text, by their names. */
  readonly policies: ReadonlyMap<string, string>;
  /** The text of a key file; null where the file brings no keys. */
  readonly keys: string | null;
  /** Over the live mementos, as `Memento.digest` gives it of the store that they are in; of a single memento it says nothing. */
  readonly digest: StoreDigest;
  /** The memento of a file that holds one, without its pieces. */
  readonly memento: ArchivedMemento | null;
  readonly stateBytes: number;
}

/** Reads the whole content and checks everything that can be checked without a store. DAMAGED, naming `where`. */
export async function readFacts(
  header: ArchiveHeader,
  content: AsyncIterable<Uint8Array>,
  where: string,
): Promise<ArchiveFacts> {
  const reading = new FactsReading(header, where);
  for await (const read of readItems(content, where)) reading.take(read);
  return reading.done();
}

class FactsReading {
  readonly #header: ArchiveHeader;
  readonly #where: string;
  readonly #lines = new Map<string, LineFacts>();
  /** The pieces of each record that came so far: true where the content is there, false where it may be in part. */
  readonly #held = new Map<string, ReadonlyMap<string, boolean>>();
  readonly #policies = new Map<string, string>();
  #keys: string | null = null;
  readonly #sums = new MementoSums();
  #memento: ArchivedMemento | null = null;
  readonly #pieces = new Map<string, readonly [encoding: string, digest: string]>();
  #stateBytes = 0;

  constructor(header: ArchiveHeader, where: string) {
    this.#header = header;
    this.#where = where;
  }

  take({ item, blobs }: ReadItem): void {
    switch (item.t) {
      case "caretaker":
        this.#caretaker(item);
        return;
      case "keys":
        if (this.#header.content !== "store") throw this.#wrong("it brings keys and is no backup of a store");
        this.#keys = Buffer.from(blobs[0] ?? []).toString("utf8");
        return;
      case "timeline":
        this.#timeline(item);
        return;
      case "pack":
        this.#pack(item, blobs);
        return;
      case "memento":
        this.#single(item, blobs);
        return;
      case "pieces":
        this.#addPieces(item, blobs);
        return;
      case "end":
    }
  }

  done(): ArchiveFacts {
    const { content } = this.#header;
    if ((content === "memento") !== (this.#memento !== null)) throw this.#wrong("it does not hold what it says");
    for (const { item, records } of this.#lines.values()) {
      const head = records.at(-1)?.id ?? null;
      if (content !== "memento" && head !== item.head)
        throw this.#wrong(`timeline ${describeAddress(item)} ends with ${head ?? "nothing"} in place of ${item.head}`);
    }
    if (this.#memento !== null) this.#demandContent(this.#memento);
    return {
      header: this.#header,
      lines: this.#lines,
      policies: this.#policies,
      keys: this.#keys,
      digest: this.#sums.done(),
      memento: this.#memento,
      stateBytes: this.#stateBytes,
    };
  }

  #caretaker({ name, policy }: CaretakerItem): void {
    const { content, caretaker } = this.#header;
    const belongs = content === "store" || (content === "caretaker" && name === caretaker);
    if (!belongs || typeof name !== "string" || typeof policy !== "string" || this.#policies.has(name))
      throw this.#wrong("it brings another caretaker than it says");
    this.#policies.set(name, policy);
  }

  #timeline(item: TimelineItem): void {
    const texts = [item.key, item.caretaker, item.originator, item.partition, item.fork, item.kind, item.created];
    if (!texts.every((text) => typeof text === "string") || !Number.isSafeInteger(item.epoch) || item.epoch < 0)
      throw this.#wrong("a timeline of it is incomplete");
    const isElsewhere = this.#header.content !== "store" && item.caretaker !== this.#header.caretaker;
    if (isElsewhere || this.#lines.has(item.key))
      throw this.#wrong(`timeline ${describeAddress(item)} does not belong into it`);
    this.#lines.set(item.key, { item, records: [] });
  }

  #pack(item: PackItem, [header, body]: readonly Uint8Array[]): void {
    if (header === undefined || body === undefined || !Array.isArray(item.removed))
      throw this.#wrong("a pack of it is incomplete");
    if (decodePackHeader(header, `A pack in ${this.#where}`).suite !== "S256")
      throw this.#wrong("a pack of it is sealed by itself");
    const pack = openPack({ header, body }, null, `A pack in ${this.#where}`);
    const removed = new Set<unknown>(item.removed);
    for (const [slot, entry] of pack.header.entries.entries())
      this.#record(pack, slot, entry, removed.has(slot), item.isSpent);
  }

  #record(pack: OpenedPack, slot: number, entry: MementoEntry, removed: boolean, isSpent: boolean): void {
    const line = this.#lines.get(entry.timeline);
    const fits =
      line !== undefined &&
      entry.sequence === line.records.length + 1 &&
      entry.caretaker === line.item.caretaker &&
      entry.originator === line.item.originator &&
      entry.kind === line.item.kind;
    if (!fits) throw this.#wrong(`memento ${entry.id} is not the next one of its timeline`);
    const manifest = manifestOf(pack, slot);
    if ((manifest === null) !== isSpent || (isSpent && !removed))
      throw this.#wrong(`memento ${entry.id} has no manifest`);
    line.records.push({ id: entry.id, digest: manifest?.digest ?? null, removed, name: entry.name ?? null });
    if (manifest !== null && !removed) this.#sums.add(entry, manifest.digest);
    if (manifest !== null) this.#content(pack, entry.id, manifest, removed);
  }

  /** Of a removed memento only what others need is there; of a live one everything. */
  #content(pack: OpenedPack, id: string, manifest: MementoManifest, removed: boolean): void {
    const held = new Map<string, boolean>();
    for (const [key, { section, offset, bytes, digest, base }] of manifest.held) {
      const piece = pack.sections[section]?.subarray(offset, offset + bytes);
      // What a delta makes cannot be told from the delta alone; it was checked before the file was signed.
      const isGood = piece?.length === bytes && (base !== null || sha256(piece) === digest);
      held.set(key, isGood);
      if (!isGood && !removed) throw this.#wrong(`the piece ${key} of memento ${id} does not fit its digest`);
    }
    this.#held.set(id, held);
    if (removed) return;
    const missing = directNeeds(id, manifest).find(({ holder, key, digest }) => {
      const there = this.#held.get(holder);
      if (there === undefined || key === null) return there === undefined;
      // Of what a delta is built on only those bytes need be there that it takes over.
      return digest === null ? !there.has(key) : there.get(key) !== true;
    });
    if (missing !== undefined) throw this.#wrong(`memento ${id} needs ${missing.holder}, which it does not bring`);
  }

  #single(item: MementoItem, blobs: readonly Uint8Array[]): void {
    const memento = readMementoItem(item, blobs);
    const line = memento === null ? undefined : this.#lines.get(memento.entry.timeline);
    if (memento === null || line === undefined || this.#memento !== null || memento.entry.id !== this.#header.memento)
      throw this.#wrong("its memento is not readable");
    this.#memento = memento;
  }

  #addPieces({ pieces }: PiecesItem, blobs: readonly Uint8Array[]): void {
    if (this.#memento === null || !isListOfPieces(pieces) || pieces.length !== blobs.length)
      throw this.#wrong("pieces of it belong to nothing");
    for (const [index, [key, encoding, digest]] of pieces.entries()) {
      const bytes = blobs[index] ?? new Uint8Array();
      if (sha256(bytes) !== digest || this.#pieces.has(key))
        throw this.#wrong(`the piece ${key} does not fit its digest`);
      this.#pieces.set(key, [encoding, digest]);
      this.#stateBytes += bytes.length;
    }
  }

  #demandContent({ contentDigest }: ArchivedMemento): void {
    const pieces = [...this.#pieces].map(([key, [encoding, digest]]) => [key, encoding, digest]);
    const sorted = pieces.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));
    if (sha256(JSON.stringify(sorted)) !== contentDigest) throw this.#wrong("it does not hold all of its memento");
  }

  #wrong(reason: string): Error {
    return damaged(this.#where, reason);
  }
}

function isListOfPieces(value: unknown): boolean {
  const isPiece = (piece: unknown): boolean =>
    Array.isArray(piece) && piece.length === 3 && piece.every((text) => typeof text === "string");
  return Array.isArray(value) && value.every(isPiece);
}
