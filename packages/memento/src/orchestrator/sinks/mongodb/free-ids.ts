import type { MementoError } from "../../../core/errors.ts";
import type { BookAccess } from "./books.ts";
import { type Bson, type HeldDocument, idBeside, storedDocument, withId } from "./documents.ts";
import { idFilters } from "./id-filters.ts";
import { type KeyValues, textOfValue } from "./identity.ts";
import type { NetSource } from "./net.ts";

/** A document that is to come in under an `_id` that it does not have yet. */
export interface Incoming {
  readonly key: KeyValues;
  readonly document: HeldDocument;
}

/** Says what is done where `holder` has the `_id`: the error, or null where the document may have another one. */
export type RefuseTaken<Item> = (item: Item, holder: string) => MementoError | null;

/**
 * Looks that what comes in takes no other document's `_id`. Whoever changes a key leaves the `_id` as it is, so that the document of
 * the old key finds its `_id` taken when it is written again, or put back; a staged write, which puts in by `_id`, would replace that
 * document without a word.
 */
export class FreeIds {
  readonly #source: NetSource;
  readonly #leaving: ReadonlySet<string>;
  readonly #coming = new Set<string>();

  /** `leaving`: the keys, as texts, of documents that go out before anything comes in. */
  constructor(source: NetSource, leaving: ReadonlySet<string> = new Set()) {
    this.#source = source;
    this.#leaving = leaving;
  }

  /** The documents that come in under another `_id` than theirs, by the texts of their keys. */
  async settle<Item extends Incoming>(
    items: readonly Item[],
    access: BookAccess,
    refuse: RefuseTaken<Item>,
  ): Promise<Map<string, HeldDocument>> {
    const { bson, identity } = this.#source;
    const moved = new Map<string, HeldDocument>();
    for (let open = items; open.length > 0;) {
      const holders = await this.#holders(open, access);
      const next: Item[] = [];
      for (const item of open) {
        const text = idText(bson, item.document.id);
        const holder = this.#coming.has(text) ? "another one that comes in with it" : holders.get(text);
        if (holder === undefined) {
          this.#coming.add(text);
          continue;
        }
        const error = refuse(item, holder);
        if (error !== null) throw error;
        const document = withId(bson, item.document, idBeside(bson, text));
        moved.set(identity.keyText(item.key) ?? "", document);
        next.push({ ...item, document });
      }
      open = next;
    }
    return moved;
  }

  /** The names of the documents that have these `_id`s and stay, by the texts of the `_id`s. */
  async #holders(items: readonly Incoming[], access: BookAccess): Promise<Map<string, string>> {
    const { bson, collection, identity } = this.#source;
    const projection = Object.fromEntries(["_id", ...identity.fields].map((field) => [field, 1]));
    const holders = new Map<string, string>();
    for (const filter of idFilters(items.map(({ document }) => document.id))) {
      for await (const bytes of collection.find(filter, { ...access, projection, raw: true })) {
        const { id, content } = storedDocument(bson, bytes as unknown as Uint8Array);
        const key = identity.valuesOf(content);
        const text = identity.keyText(key);
        if (text !== null && this.#leaving.has(text)) continue;
        holders.set(idText(bson, id), text === null ? "one without a key" : identity.name(key));
      }
    }
    return holders;
  }
}

/** One text for each `_id`, whatever its type. */
function idText(bson: Bson, id: unknown): string {
  return textOfValue(id) ?? `?${Buffer.from(bson.serialize({ id })).toString("hex")}`;
}
