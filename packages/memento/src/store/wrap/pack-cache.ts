import { sha256 } from "../../core/digest.ts";
import { decodePackHeader } from "../header.ts";
import type { PackGlance, PackReplacement, StoredMemento } from "../store.ts";
import { ByteLru } from "./byte-lru.ts";

/** Header and body of a pack. */
export interface PackBytes {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
}

/** Where a memento was when the store was last asked, and until when that may be repeated. */
interface Place {
  readonly slot: number;
  readonly removed: boolean;
  readonly trustedUntil: number;
}

interface CachedPack extends PackBytes {
  readonly dataKey: string | null;
  readonly places: Map<string, Place>;
}

/** What a place takes up in memory, about. */
const PLACE_BYTES = 250;

/**
 * The name of a pack's bytes. Of a sealed pack the header says it all, for its nonce is never used twice; a glance has
 * as much. Of one that is not sealed the body must be looked at, so that no glance names it.
 */
function packVersion(header: Uint8Array, body: Uint8Array, isSealed: boolean): string {
  return `${sha256(header)}.${isSealed ? body.byteLength : sha256(body)}`;
}

/** The name by which a glance knows a sealed pack; null where its body is gone. */
export function glanceVersion({ headerDigest, bodyBytes }: PackGlance): string | null {
  return bodyBytes === null ? null : `${headerDigest}.${bodyBytes}`;
}

/** The name of a pack, and what of its header is asked for beside it. DAMAGED for a header that does not read. */
export function nameOf({ header, body }: PackBytes): {
  readonly version: string;
  readonly isSealed: boolean;
  readonly dataKey: string | null;
} {
  const { suite, dataKey, nonce } = decodePackHeader(header, "a pack");
  const isSealed = suite === "A256GCM" && nonce !== "";
  return { version: packVersion(header, body, isSealed), isSealed, dataKey };
}

/** Packs by the names of their bytes, and the mementos in them by their ids, within a bound of memory. */
export class PackCache {
  readonly #packs: ByteLru<CachedPack>;
  readonly #versions = new Map<string, string>();

  constructor(bytesMax: number) {
    this.#packs = new ByteLru(bytesMax, (version, { places }) => {
      for (const id of places.keys()) if (this.#versions.get(id) === version) this.#versions.delete(id);
    });
  }

  get bytes(): number {
    return this.#packs.bytes;
  }

  get packs(): number {
    return this.#packs.size;
  }

  /** What was read of a memento, where it may be repeated at this moment; null where it may not. */
  trusted(id: string, now: number): StoredMemento | null {
    const pack = this.#packs.get(this.#versions.get(id) ?? "");
    const place = pack?.places.get(id);
    return pack === undefined || place === undefined || now >= place.trustedUntil ? null : answerOf(pack, place);
  }

  /** The bytes that have this name; null when they are not here. */
  pack(version: string): PackBytes | null {
    return this.#packs.get(version) ?? null;
  }

  /** Keeps a pack and gives its name; the bytes are copied. */
  add({ header, body }: PackBytes): { readonly version: string; readonly isSealed: boolean } {
    const { version, isSealed, dataKey } = nameOf({ header, body });
    const bytes = { header: Uint8Array.from(header), body: Uint8Array.from(body) };
    if (this.#packs.get(version) === undefined) {
      const size = header.byteLength + body.byteLength + PLACE_BYTES;
      this.#packs.set(version, { ...bytes, dataKey, places: new Map() }, size);
    }
    return { version, isSealed };
  }

  /** Remembers where a memento is. */
  place(id: string, version: string, place: Place): void {
    const before = this.#versions.get(id);
    if (before !== undefined && before !== version) this.forget([id]);
    const pack = this.#packs.get(version);
    if (pack === undefined) return;
    const isNew = !pack.places.has(id);
    pack.places.set(id, place);
    this.#versions.set(id, version);
    if (isNew) this.#packs.grow(version, PLACE_BYTES);
  }

  /** Forgets where these mementos are. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      const version = this.#versions.get(id);
      if (version === undefined) continue;
      this.#versions.delete(id);
      const pack = this.#packs.get(version);
      if (pack?.places.delete(id) === true) this.#packs.grow(version, -PLACE_BYTES);
    }
  }

  /** Forgets the packs of these mementos, with all others in them. */
  dropPacks(ids: readonly string[]): void {
    for (const id of ids) this.#packs.delete(this.#versions.get(id) ?? "");
  }

  /** Forgets the bytes that have this name. */
  drop(version: string): void {
    this.#packs.delete(version);
  }

  /** Forgets the packs that were replaced, and what was kept under the new one's name: it may have been mended. */
  replaced({ ids, header, body }: PackReplacement): void {
    this.dropPacks(ids);
    if (body !== null) this.#packs.delete(packVersion(header, body, true));
  }

  /** Forgets every pack that is sealed under this data key. */
  dropKey(dataKey: string): void {
    this.#packs.deleteWhere((pack) => pack.dataKey === dataKey);
  }

  clear(): void {
    this.#packs.deleteWhere(() => true);
  }
}

/** Copies, for nobody may change what is kept. */
export function answerOf(
  { header, body }: PackBytes,
  { slot, removed }: Pick<Place, "slot" | "removed">,
): StoredMemento {
  return { slot, header: Uint8Array.from(header), body: Uint8Array.from(body), removed };
}
