import type { Binary, ClientSession, Collection, Db } from "mongodb";

import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { HistoryStep } from "../way-back.ts";

/** The version of the documents below. */
const BOOKS_VERSION = 1;

/** `places`: one for each collection that sinks write to. Whoever writes moves `commits` on, and so writers take turns. */
export interface PlaceDocument {
  /** The collection's name. */
  readonly _id: string;
  readonly version: number;
  /** A random name that the collection keeps, wherever the database is moved. */
  readonly place: string;
  readonly commits: number;
  /** A staged write that is decided and may not be done yet. */
  readonly pending: PendingOperation | null;
}

/** A staged write under way; `undo`: the engine refused a document, and all of it is taken back. */
export interface PendingOperation {
  readonly op: string;
  readonly undo: boolean;
}

/** `streams`: what one sink of one timeline has done so far. */
export interface StreamDocument {
  readonly _id: string;
  readonly timeline: string;
  readonly sink: string;
  readonly target: string;
  /** How it names documents. */
  readonly identity: string;
  readonly epoch: number;
  /** Grows by one with each write and each revert. */
  readonly position: number;
  /** Positions before it were trimmed. */
  readonly oldest: number;
}

/** `entries`: what one position did; its images are those of `op`. */
export interface EntryDocument extends HistoryStep {
  readonly _id: string;
  readonly stream: string;
  readonly op: string;
  /** Orders the positions of all streams of a collection. */
  readonly commit: number;
}

/** `tokens`: a token that was taken (`live`), or forgotten by a revert, at a position. */
export interface TokenDocument {
  readonly _id: string;
  readonly stream: string;
  readonly token: string;
  readonly position: number;
  readonly kind: "write" | "revert";
  readonly live: boolean;
  /** Source records that the write stands for. */
  readonly records: number;
  /** What the revert did, as JSON text. */
  readonly result: string | null;
  /** The call that took it: one whose answer was lost knows it for its own. */
  readonly by: string;
}

/** `images`: documents before a position's changes, in parts of bounded size; written once. */
export interface ImagesDocument {
  /** The operation and the part's number. */
  readonly _id: string;
  readonly stream: string;
  readonly position: number;
  readonly items: readonly ImageItem[];
}

/** What a position did to one document. */
export interface ImageItem {
  /** The values of the key's fields. */
  readonly key: readonly unknown[];
  readonly id: unknown;
  /** The document before, as BSON; null for none. */
  readonly before: Binary | Uint8Array | null;
  /** The check of the document after; null for none. */
  readonly after: string | null;
}

/** `staged`: what a staged write is to do, until it is done: its head, and one document for each part of its images. */
export interface StagedDocument {
  readonly _id: string;
  readonly stream?: StreamDocument;
  readonly entry?: EntryDocument | null;
  readonly tokens?: readonly TokenDocument[];
  readonly parts?: number;
  /** The documents after, as BSON, in the order of the images. */
  readonly after?: readonly (Binary | Uint8Array | null)[];
}

/** `sessions`: the sessions whose transactions write here, so that those of a dead client can be ended. */
export interface SessionDocument {
  readonly _id: string;
  readonly session: Binary;
  readonly stream: string;
}

/** The id of a stream's documents. */
export function streamId(timeline: string, sink: string): string {
  return sha256OfJson([timeline, sink]).slice(0, 22);
}

/** Numbers in ids have one length, so that they sort. */
export function padded(number: number): string {
  return String(number).padStart(12, "0");
}

/** How the books are read and written: in which session, and how long a command may take. */
export interface BookAccess {
  readonly session?: ClientSession;
  readonly maxTimeMS: number;
}

/**
 * The sink's books: collections in the target's own database, so that they change in one transaction with the data. Each
 * kind of document is described above.
 */
export class Books {
  readonly places: Collection<PlaceDocument>;
  readonly streams: Collection<StreamDocument>;
  readonly entries: Collection<EntryDocument>;
  readonly tokens: Collection<TokenDocument>;
  readonly images: Collection<ImagesDocument>;
  readonly staged: Collection<StagedDocument>;
  readonly sessions: Collection<SessionDocument>;
  readonly #database: Db;

  constructor(database: Db, prefix: string) {
    this.#database = database;
    this.places = database.collection(`${prefix}places`);
    this.streams = database.collection(`${prefix}streams`);
    this.entries = database.collection(`${prefix}entries`);
    this.tokens = database.collection(`${prefix}tokens`);
    this.images = database.collection(`${prefix}images`);
    this.staged = database.collection(`${prefix}staged`);
    this.sessions = database.collection(`${prefix}sessions`);
  }

  /** Makes what is missing: collections are not made inside transactions. Returns the place; `place` names a new one. */
  async prepare(target: string, place: string, { maxTimeMS }: BookAccess): Promise<PlaceDocument> {
    const found = await this.places.findOne({ _id: target }, { maxTimeMS });
    if (found !== null) {
      // It may have been dropped since.
      await this.#make([target], maxTimeMS);
      return checkVersion(found);
    }
    const wanted = [this.places, this.streams, this.entries, this.tokens, this.images, this.staged, this.sessions];
    await this.#make([...wanted.map(({ collectionName }) => collectionName), target], maxTimeMS);
    const byToken = { key: { stream: 1, token: 1, position: -1 } } as const;
    const byPosition = { key: { stream: 1, position: 1 } } as const;
    await this.tokens.createIndexes([byToken, byPosition], { maxTimeMS });
    await this.images.createIndexes([byPosition], { maxTimeMS });
    await this.streams.createIndexes([{ key: { target: 1 } }], { maxTimeMS });
    const fresh = { version: BOOKS_VERSION, place, commits: 0, pending: null };
    // Of several that come at once one makes it; the others find it.
    await this.places.updateOne({ _id: target }, { $setOnInsert: fresh }, { upsert: true, maxTimeMS });
    return await this.place(target, { maxTimeMS });
  }

  async place(target: string, access: BookAccess): Promise<PlaceDocument> {
    const found = await this.places.findOne({ _id: target }, { ...access });
    if (found !== null) return checkVersion(found);
    throw new MementoError("DAMAGED", `The books of the sink into ${target} were taken away while it was open`);
  }

  async findToken(stream: string, token: string, access: BookAccess): Promise<TokenDocument | null> {
    const latest = await this.tokens.findOne({ stream, token }, { ...access, sort: { position: -1 } });
    return latest?.live === true ? latest : null;
  }

  /** What the positions from `from` to `to` of a stream did, both included, oldest first. */
  async readEntries(stream: string, from: number, to: number, access: BookAccess): Promise<EntryDocument[]> {
    const _id = { $gte: `${stream}/${padded(from)}`, $lte: `${stream}/${padded(to)}` };
    return await this.entries.find({ _id }, { ...access, sort: { _id: 1 } }).toArray();
  }

  /** The parts of the images of an operation, in order; values as they were stored. */
  partsOf(op: string, access: BookAccess): AsyncIterable<ImagesDocument> {
    const _id = { $gte: `${op}/`, $lt: `${op}0` };
    return this.images.find({ _id }, { ...access, sort: { _id: 1 }, promoteValues: false });
  }

  /** True where there is a collection of that name in the target's database. */
  async hasCollection(name: string, { maxTimeMS }: BookAccess): Promise<boolean> {
    return (await this.#existing([name], maxTimeMS)).length > 0;
  }

  async #existing(names: readonly string[], maxTimeMS: number): Promise<string[]> {
    const found = this.#database.listCollections({ name: { $in: names } }, { nameOnly: true, maxTimeMS });
    return await found.map(({ name }) => name).toArray();
  }

  /** Makes those of the collections that are not there. */
  async #make(names: readonly string[], maxTimeMS: number): Promise<void> {
    const there = await this.#existing(names, maxTimeMS);
    for (const name of names) {
      if (there.includes(name)) continue;
      try {
        await this.#database.createCollection(name);
      } catch (error) {
        // 48: somebody else made it meanwhile.
        if (!(error instanceof Error) || !("code" in error) || error.code !== 48) throw error;
      }
    }
  }
}

function checkVersion(place: PlaceDocument): PlaceDocument {
  if (place.version === BOOKS_VERSION) return place;
  throw new MementoError(
    "FORMAT_UNKNOWN",
    `The sink's books are of version ${String(place.version)}, and this release knows version ${BOOKS_VERSION}`,
  );
}
