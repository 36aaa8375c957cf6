import type { Collection } from "mongodb";

import { MementoError } from "../../../core/errors.ts";
import type { ForeignChange } from "../sink.ts";
import { wayBack, writesInForce } from "../way-back.ts";
import type { BookAccess, Books, EntryDocument, StreamDocument } from "./books.ts";
import { type Bson, bytesOf, documentOfImage, type HeldDocument, storedDocument } from "./documents.ts";
import { idFilters } from "./id-filters.ts";
import type { Identity, KeyValues } from "./identity.ts";

/** Where an image is kept. */
export interface ImageRef {
  readonly part: string;
  readonly index: number;
  readonly check: string;
}

/** What is known of a document between now and a mark. */
interface NetItem {
  readonly key: KeyValues;
  /** The image at the mark. */
  readonly first: ImageRef | null;
  /** The image that our writes found after somebody else's last one in between. */
  before: ImageRef | null;
  after: string | null;
  claimed: boolean;
}

/** What going back does to one document, or what somebody else did to it. */
export interface Move {
  readonly key: KeyValues;
  readonly now: string | null;
  readonly goal: ImageRef | null;
  /** True: what others left there stays, whatever the goal is. */
  readonly stays: boolean;
  readonly alien: ForeignChange["change"] | null;
}

/** Some servers look at the whole collection for each range. */
const ITEMS_AT_ONCE = 10_000;

/** What the net is read from. */
export interface NetSource {
  readonly books: Books;
  readonly collection: Collection;
  readonly identity: Identity;
  readonly bson: Bson;
}

/** What is done to every document that the positions after a mark touched; a few hundred bytes of memory for each. */
export class Net {
  readonly #source: NetSource;
  readonly #access: BookAccess;
  readonly #items = new Map<string, NetItem>();

  private constructor(source: NetSource, access: BookAccess) {
    this.#source = source;
    this.#access = access;
  }

  /** Follows the positions after `mark`, and what other timelines wrote since. DAMAGED where an entry is missing. */
  static async read(source: NetSource, stream: StreamDocument, mark: number, access: BookAccess): Promise<Net> {
    const net = new Net(source, access);
    const steps = await source.books.readEntries(stream._id, mark + 1, stream.position, access);
    const way = wayBack(steps, mark, stream.position);
    if (way === null)
      throw new MementoError("DAMAGED", `The books of ${source.identity.collection} lack a position after ${mark}`);
    const first = way[0];
    const claims = first === undefined ? [] : await net.#readClaims(stream, first.commit);
    const known = new Map(claims.map(({ entry, sameKey }) => [entry, sameKey]));
    for (const entry of [...way, ...known.keys()].toSorted((a, b) => a.commit - b.commit)) {
      const sameKey = known.get(entry);
      if (sameKey === undefined) await net.#add(entry);
      else await net.#claim(entry, sameKey);
    }
    return net;
  }

  /** What going back does, document by document, and what others have changed since. */
  async *moves(force: boolean): AsyncGenerator<Move> {
    const items = [...this.#items.values()];
    for (let start = 0; start < items.length; start += ITEMS_AT_ONCE) {
      const slice = items.slice(start, start + ITEMS_AT_ONCE);
      const keys = slice.map(({ key }) => key);
      const found = await findEach(this.#source, keys, this.#access, ({ check }) => check);
      for (const item of slice) {
        const now = found.get(this.#text(item.key)) ?? null;
        const move = moveOf(item, now, force);
        if (move !== null) yield move;
      }
    }
  }

  async #add(entry: EntryDocument): Promise<void> {
    for await (const { _id: part, items } of this.#source.books.partsOf(entry.op, this.#access)) {
      for (const [index, { key, before, after }] of items.entries()) {
        const check = before === null ? null : storedDocument(this.#source.bson, bytesOf(before)).check;
        const image = check === null ? null : { part, index, check };
        const text = this.#text(key);
        const known = this.#items.get(text);
        if (known === undefined) {
          this.#items.set(text, { key, first: image, before: image, after, claimed: false });
          continue;
        }
        if (known.claimed || known.after !== check) known.before = image;
        known.after = after;
        known.claimed = false;
      }
    }
  }

  /** Whatever another timeline wrote is its own, even if it wrote what stood there. */
  async #claim(entry: EntryDocument, sameKey: boolean): Promise<void> {
    const { books, collection, bson, identity } = this.#source;
    for await (const { items } of books.partsOf(entry.op, this.#access)) {
      let keys = items.map(({ key }) => key);
      if (!sameKey) {
        const ids = items.map(({ id }) => id);
        keys = [];
        for (const filter of idFilters(ids)) {
          for await (const bytes of collection.find(filter, { ...this.#access, raw: true }))
            keys.push(identity.valuesOf(storedDocument(bson, bytes as unknown as Uint8Array).content));
        }
      }
      for (const key of keys) {
        const known = this.#items.get(identity.keyText(key) ?? "");
        if (known !== undefined) known.claimed = true;
      }
    }
  }

  async #readClaims(
    stream: StreamDocument,
    commit: number,
  ): Promise<{ readonly entry: EntryDocument; readonly sameKey: boolean }[]> {
    const { books } = this.#source;
    const filter = { target: stream.target, _id: { $ne: stream._id }, position: { $gt: 0 } };
    const claims: { entry: EntryDocument; sameKey: boolean }[] = [];
    for (const other of await books.streams.find(filter, { ...this.#access }).toArray()) {
      const { _id, position, oldest, identity } = other;
      const [latest] = await books.readEntries(_id, position, position, this.#access);
      if (latest === undefined || latest.commit <= commit) continue;
      const entries = await books.readEntries(_id, oldest + 1, position, this.#access);
      for (const entry of writesInForce(entries, oldest, position))
        if (entry.commit > commit) claims.push({ entry, sameKey: identity === stream.identity });
    }
    return claims;
  }

  #text(key: KeyValues): string {
    const text = this.#source.identity.keyText(key);
    if (text !== null) return text;
    throw new MementoError("DAMAGED", `The books of ${this.#source.identity.collection} hold a key that is none`);
  }
}

function moveOf({ key, first, before, after, claimed }: NetItem, now: string | null, force: boolean): Move | null {
  const isOurs = now === after && !(claimed && now !== null);
  const left = isOurs ? (before?.check ?? null) : now;
  const alien = isOurs ? brokenBy(before, first) : changeOf(now, after);
  if (alien === null && now === left) return null;
  return { key, now, goal: force ? first : before, stays: !isOurs && !force, alien };
}

/** True where the move changes the document. */
export function isChange({ now, goal, stays }: Move): boolean {
  return !stays && now !== (goal?.check ?? null);
}

function changeOf(now: string | null, left: string | null): ForeignChange["change"] {
  if (left === null) return "taken";
  return now === null ? "deleted" : "changed";
}

/** What somebody else did between our writes; null where that makes no difference to where the document goes. */
function brokenBy(before: ImageRef | null, first: ImageRef | null): ForeignChange["change"] | null {
  if ((before?.check ?? null) === (first?.check ?? null)) return null;
  return before === null ? "deleted" : "changed";
}

/** The documents of some keys as they stand now, by the keys' texts. */
export async function findDocuments(
  source: NetSource,
  keys: readonly KeyValues[],
  access: BookAccess,
): Promise<Map<string, HeldDocument>> {
  return await findEach(source, keys, access, (document) => document);
}

async function findEach<T>(
  { collection, identity, bson }: NetSource,
  keys: readonly KeyValues[],
  access: BookAccess,
  keep: (document: HeldDocument) => T,
): Promise<Map<string, T>> {
  const wanted = new Set(keys.map((key) => identity.keyText(key)));
  const found = new Map<string, T>();
  for (const filter of identity.filters(keys)) {
    for await (const bytes of collection.find(filter, { ...access, raw: true })) {
      const document = storedDocument(bson, bytes as unknown as Uint8Array);
      const text = identity.keyText(identity.valuesOf(document.content));
      // A filter by value finds arrays that hold it too.
      if (text !== null && wanted.has(text)) found.set(text, keep(document));
    }
  }
  return found;
}

/** Reads images one part at a time: asked for in the order of their parts, each part is read once. */
export class ImageReader {
  readonly #source: NetSource;
  readonly #access: BookAccess;
  #part: { readonly id: string; readonly images: readonly (Uint8Array | null)[] } | null = null;

  constructor(source: NetSource, access: BookAccess) {
    this.#source = source;
    this.#access = access;
  }

  async read({ part, index }: ImageRef): Promise<HeldDocument> {
    if (this.#part?.id !== part) {
      const found = await this.#source.books.images.findOne({ _id: part }, { ...this.#access });
      const images = found?.items.map(({ before }) => (before === null ? null : bytesOf(before))) ?? [];
      this.#part = { id: part, images };
    }
    const image = this.#part.images[index];
    if (image === null || image === undefined)
      throw new MementoError(
        "DAMAGED",
        `The books of ${this.#source.identity.collection} lack the image ${part}:${index}`,
      );
    return documentOfImage(this.#source.bson, image);
  }
}
