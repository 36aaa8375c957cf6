import { sha256, sha256Elsewhere } from "../core/digest.ts";
import { isMementoError, MementoError } from "../core/errors.ts";
import { decodePackHeader, type PackHeader } from "../store/header.ts";
import type { MementoStore, StoredMemento } from "../store/store.ts";
import { decodeValue } from "./codec.ts";
import type { DataKeys } from "./data-keys.ts";
import { DeltaTarget } from "./delta/index.ts";
import { PieceDirectory, type DirectoryLayer, type PieceRef } from "./directory.ts";
import type { DeltaLink, PieceChain } from "./increments.ts";
import { RecentPacks } from "./opened-pack.ts";
import { recordIn, type OpenedRecord } from "./opened-record.ts";
import { splitFirstSection } from "./pack.ts";
import { decodeManifest, type MementoManifest } from "./record.ts";
import { openSection, type DataKey } from "./seal.ts";

/** From here on a digest is worth the way to another thread and back. */
const ELSEWHERE_BYTES_MIN = 262_144;

/** Records that one memento has needed so far: each is read and opened once, and forgotten with the memento. */
export type NearbyRecords = Map<string, OpenedRecord>;

/** Opens records and follows them to the pieces that earlier ones hold. */
export class MementoReader {
  readonly #store: Pick<MementoStore, "read" | "distrust">;
  readonly #keys: DataKeys | null;
  readonly #recent = new RecentPacks();

  constructor(store: Pick<MementoStore, "read" | "distrust">, keys: DataKeys | null) {
    this.#store = store;
    this.#keys = keys;
  }

  /** Reads and authenticates one record. NOT_FOUND, or DAMAGED naming it. Removed ones are opened too: others may need their pieces. */
  async open(id: string): Promise<OpenedRecord> {
    const stored = await this.#demand(id);
    try {
      return await this.openStored(id, stored);
    } catch (error) {
      if (!isMementoError(error, "DAMAGED")) throw error;
      // A secure deletion may have sealed the pack anew, and destroyed its key, since it was read; and a cache before the store
      // may have kept bytes that were mended since.
      await this.#store.distrust?.(id);
      if (this.#store.distrust === undefined && !("dataKey" in error.details)) throw error;
      const now = await this.#demand(id);
      if (isSamePack(now, stored)) throw error;
      return await this.openStored(id, now);
    }
  }

  async #demand(id: string): Promise<StoredMemento> {
    const stored = await this.#store.read(id);
    if (stored !== null) return stored;
    throw new MementoError("NOT_FOUND", `There is no memento ${id}`, { details: { id } });
  }

  /** Authenticates a record that was read already. */
  async openStored(id: string, stored: StoredMemento): Promise<OpenedRecord> {
    const where = `memento ${id}`;
    const { header: bytes, body, slot } = stored;
    if (body === null)
      throw new MementoError("NOT_FOUND", `The body of memento ${id} was removed`, { details: { id } });
    const pack = this.#recent.open({ header: bytes, body }, where);
    const { entries } = pack.header;
    const entry = entries[slot];
    if (entry?.id !== id) throw new MementoError("DAMAGED", `Slot ${slot} does not hold ${where}`, { details: { id } });
    // Asked for each time: a key may have been destroyed since.
    const dataKey = await this.#dataKey(pack.header, where);
    const manifestBytes = pack.first(dataKey, where).manifests[slot];
    if (manifestBytes === undefined)
      throw new MementoError("DAMAGED", `${where} has no manifest in its pack`, { details: { id } });
    if (manifestBytes.length === 0)
      throw new MementoError("NOT_FOUND", `Nothing is left of memento ${id} but its entry`, { details: { id } });
    const manifest = decodeManifest(manifestBytes, entry);
    const sections = {
      section: (index: number) => pack.section(index, dataKey, where),
      sectionSoon: async (index: number) => await pack.sectionSoon(index, dataKey, where),
    };
    // What is kept for others is nobody's to change.
    const own = entries.length === 1 ? entry : structuredClone(entry);
    return recordIn(sections, own, manifest, stored.removed);
  }

  /** The manifests of all slots of a pack, its first section being opened once; null where nothing but the entry was kept. DAMAGED. */
  async manifests(pack: {
    readonly header: Uint8Array;
    readonly body: Uint8Array | null;
  }): Promise<(MementoManifest | null)[]> {
    const { header: bytes, body } = pack;
    const header = decodePackHeader(bytes, "a pack");
    const where = `the pack of memento ${header.entries[0]?.id ?? "none"}`;
    if (body === null) throw new MementoError("DAMAGED", `${where} has no body`);
    const dataKey = await this.#dataKey(header, where);
    const { manifests } = splitFirstSection(openSection({ header: bytes, body }, header, 0, dataKey, where), where);
    return header.entries.map((entry, slot) => {
      const manifest = manifests[slot];
      if (manifest === undefined) throw new MementoError("DAMAGED", `${where} has no manifest of slot ${slot}`);
      return manifest.length === 0 ? null : decodeManifest(manifest, entry);
    });
  }

  /** The directory of an opened record: at most log2(depth) further records are read, and only their manifests. */
  async directory(record: OpenedRecord, near: NearbyRecords): Promise<PieceDirectory> {
    const layers: DirectoryLayer[] = [record.manifest.layer];
    let { base } = record.manifest;
    while (base !== null) {
      const below = await this.#needed(base, record.entry.id, near);
      layers.unshift(below.manifest.layer);
      base = below.manifest.base;
    }
    return PieceDirectory.fromLayers(layers);
  }

  /** A piece's value, from whichever record holds it. `owner` names who needs it in messages. */
  async piece(ref: PieceRef, key: string, owner: string, near: NearbyRecords): Promise<unknown> {
    const { chain, check } = await this.#rebuilt(await this.#holder(ref, key, owner, near), key, near);
    const { encoding, content } = chain;
    if (content.length < ELSEWHERE_BYTES_MIN) {
      check(sha256(content));
      return decodeValue({ encoding, bytes: content });
    }
    // Another thread takes the digest while this one decodes; what does not fit it is given to nobody.
    const digest = sha256Elsewhere(content);
    try {
      return decodeValue({ encoding, bytes: content });
    } finally {
      check(await digest);
    }
  }

  /** A piece's content and the way to it: as `content`, from whichever record holds it. */
  async chain(ref: PieceRef, key: string, owner: string, near: NearbyRecords): Promise<PieceChain> {
    return await this.content(await this.#holder(ref, key, owner, near), key, near);
  }

  async #holder(ref: PieceRef, key: string, owner: string, near: NearbyRecords): Promise<OpenedRecord> {
    const holder = await this.#needed(ref.holder, owner, near);
    if (holder.manifest.held.get(key)?.digest !== ref.digest) {
      throw new MementoError(
        "DAMAGED",
        `Memento ${owner} needs the piece ${key} of ${ref.holder}, which holds another one`,
        { details: { id: owner } },
      );
    }
    return holder;
  }

  /**
   * The content of a piece that a record holds, put together from its delta, those below it and the whole piece below
   * them all. DAMAGED, naming the record, unless its digest is the one that was written.
   */
  async content(record: OpenedRecord, key: string, near: NearbyRecords): Promise<PieceChain> {
    const { chain, check } = await this.#rebuilt(record, key, near);
    check(sha256(chain.content));
    return chain;
  }

  /** The same, its digest not looked at yet: `check` throws unless it is the one that it is given. */
  async #rebuilt(
    record: OpenedRecord,
    key: string,
    near: NearbyRecords,
  ): Promise<{ readonly chain: PieceChain; readonly check: (digest: string) => void }> {
    const owner = record.entry.id;
    const place = record.place(key);
    const changed: { readonly record: OpenedRecord; readonly step: number }[] = [];
    let holder = record;
    for (let { base } = place; base !== null; { base } = holder.place(key)) {
      changed.unshift({ record: holder, step: base.step });
      // Each base is of an earlier record; one that leads back would never end.
      if (changed.some((link) => link.record.entry.id === base?.holder)) {
        throw new MementoError("DAMAGED", `The piece ${key} of memento ${owner} is built on itself`, {
          details: { id: owner },
        });
      }
      holder = await this.#needed(base.holder, owner, near);
    }
    const { links, content } = await this.#asHeld([holder, ...changed.map((link) => link.record)], async () =>
      changed.length === 0
        ? { links: [], content: holder.held(key) }
        : await rebuild(holder, changed, key, place.contentBytes),
    );
    const { encoding, digest } = place;
    const check = (found: string): void => {
      if (content.length === place.contentBytes && found === digest) return;
      throw new MementoError("DAMAGED", `The piece ${key} of memento ${owner} does not fit its digest`, {
        details: { id: owner },
      });
    };
    const spentBytes = links.reduce((sum, { delta }) => sum + delta.length, 0);
    return { chain: { encoding, digest, content, keyframe: holder.entry.id, links, spentBytes }, check };
  }

  /** Opens what these records hold; of one that is damaged nothing is taken from a cache again. */
  async #asHeld<T>(records: readonly OpenedRecord[], opening: () => Promise<T>): Promise<T> {
    try {
      return await opening();
    } catch (error) {
      if (isMementoError(error, "DAMAGED")) for (const { entry } of records) await this.#store.distrust?.(entry.id);
      throw error;
    }
  }

  async #needed(id: string, owner: string, near: NearbyRecords): Promise<OpenedRecord> {
    const known = near.get(id);
    if (known !== undefined) return known;
    try {
      const opened = await this.open(id);
      near.set(id, opened);
      return opened;
    } catch (error) {
      if (error instanceof MementoError && (error.code === "NOT_FOUND" || error.code === "DAMAGED")) {
        throw new MementoError("DAMAGED", `Memento ${owner} needs ${id}: ${error.message}`, {
          cause: error,
          details: { id: owner, needs: id },
        });
      }
      throw error;
    }
  }

  async #dataKey(header: PackHeader, where: string): Promise<DataKey | null> {
    if (header.dataKey === null) {
      // A sealed store takes no plaintext; one that appears all the same was put there by somebody else.
      if (this.#keys !== null) throw new MementoError("DAMAGED", `${where} is not sealed, in a sealed store`);
      return null;
    }
    if (this.#keys === null) throw new MementoError("KEY_MISSING", `${where} is sealed and no key was given`);
    return await this.#keys.forOpening(header.dataKey);
  }
}

/** Puts a content together from its whole piece and the deltas above it, oldest first. */
async function rebuild(
  keyframe: OpenedRecord,
  changed: readonly { readonly record: OpenedRecord; readonly step: number }[],
  key: string,
  contentBytes: number,
): Promise<{ readonly links: readonly DeltaLink[]; readonly content: Uint8Array }> {
  // The whole piece is the larger part: while another thread opens it, this one takes the deltas apart.
  const opening = keyframe.heldSoon(key);
  opening.catch(() => undefined);
  const links = changed.map(({ record, step }) => ({ holder: record.entry.id, step, delta: record.held(key) }));
  const deltas = links.map(({ delta }) => delta);
  const target = new DeltaTarget(keyframe.place(key).contentBytes, deltas, contentBytes);
  return { links, content: target.finish(await opening) };
}

function isSamePack(one: StoredMemento, other: StoredMemento): boolean {
  const [body, otherBody] = [one.body ?? Buffer.alloc(0), other.body ?? Buffer.alloc(0)];
  return Buffer.compare(one.header, other.header) === 0 && Buffer.compare(body, otherBody) === 0;
}
