import { sha256 } from "../core/digest.ts";
import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import { decodeValue } from "./codec.ts";
import type { PieceDirectory } from "./directory.ts";
import type { OpenedRecord } from "./opened-record.ts";
import type { MementoReader, NearbyRecords } from "./reader.ts";
import { FIELDS_PIECE } from "./record.ts";

/** The pieces of one memento, whoever knows where they are. */
export type PieceValues = Pick<OpenedMemento, "has" | "value">;

/** A memento that was read and verified; its pieces are opened when they are asked for. */
export class OpenedMemento {
  readonly entry: MementoEntry;
  /** SHA-256 over entry and manifest; chained: it covers the digest of the memento before it. */
  readonly digest: string;
  readonly removed: boolean;
  readonly directory: PieceDirectory;
  readonly #record: OpenedRecord;
  readonly #reader: MementoReader;
  readonly #near: NearbyRecords;

  private constructor(record: OpenedRecord, directory: PieceDirectory, reader: MementoReader, near: NearbyRecords) {
    this.entry = record.entry;
    this.digest = record.manifest.digest;
    this.removed = record.removed;
    this.directory = directory;
    this.#record = record;
    this.#reader = reader;
    this.#near = near;
  }

  /** Reads and verifies a memento's own record and its directory. NOT_FOUND, DAMAGED. */
  static async open(reader: MementoReader, id: string): Promise<OpenedMemento> {
    const record = await reader.open(id);
    const near: NearbyRecords = new Map([[id, record]]);
    return new OpenedMemento(record, await reader.directory(record, near), reader, near);
  }

  get parentDigest(): string | null {
    return this.#record.manifest.parentDigest;
  }

  /** The keys of all pieces that start with `prefix`. */
  keys(prefix = ""): string[] {
    return [...this.directory.keys()].filter((key) => key.startsWith(prefix));
  }

  has(key: string): boolean {
    return this.directory.get(key) !== undefined;
  }

  /** A piece's value; undefined when there is no such piece. DAMAGED, naming mementos, when its bytes are not what was saved. */
  async value(key: string): Promise<unknown> {
    const ref = this.directory.get(key);
    return ref === undefined ? undefined : await this.#reader.piece(ref, key, this.entry.id, this.#near);
  }

  /** All pieces under a prefix, by the rest of their keys. */
  async values(prefix: string): Promise<Map<string, unknown>> {
    const found = new Map<string, unknown>();
    for (const key of this.keys(prefix)) found.set(key.slice(prefix.length), await this.value(key));
    return found;
  }

  /** The sealed small fields: error, description, metadata, provenance and the like. */
  fields(): Readonly<Record<string, unknown>> {
    const place = this.#record.manifest.held.get(FIELDS_PIECE);
    if (place === undefined) return {};
    const bytes = this.#record.held(FIELDS_PIECE);
    if (sha256(bytes) !== place.digest) {
      throw new MementoError("DAMAGED", `The fields of memento ${this.entry.id} do not fit their digest`, {
        details: { id: this.entry.id },
      });
    }
    return decodeValue({ encoding: place.encoding, bytes }) as Record<string, unknown>;
  }

  /** Equal for equal content; see `PieceDirectory`. */
  contentDigest(): string {
    return this.directory.contentDigest();
  }
}
