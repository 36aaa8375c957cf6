import { isDeepStrictEqual } from "node:util";

import type * as Mongodb from "mongodb";
import type { Collection, Document, Filter, MongoClient } from "mongodb";

import { MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { borrowClient, connectUrl, readAddress } from "../../../store/mongodb/connection.ts";
import { failureOf } from "../../../store/mongodb/failure.ts";
import { loadPeer } from "../../../store/optional-peer.ts";
import { type KeysetPage, type KeysetReader, KeysetSource, type KeyValues } from "../keyset/keyset-source.ts";
import type { Source } from "../source.ts";

/** How to read the documents of a collection. */
export interface MongodbCollectionSourceOptions {
  /** `mongodb://user:password@host:port/database` or `mongodb+srv://…`; all its parameters are the driver's. */
  readonly url?: string;
  /** In place of a URL: a client of the `mongodb` package, which is left open, and the name of a database. */
  readonly client?: MongoClient;
  readonly database?: string;
  readonly collection: string;
  /** Which documents, in the driver's words; all by default. */
  readonly filter?: Readonly<Record<string, unknown>>;
  /** A field that grows with each change of a document, such as `updatedAt`: one that is changed is read again. It needs an index with `_id`. */
  readonly watermark?: string;
  /** As for `sqlRows`. */
  readonly onlyGrows?: boolean;
  /** `1` by default. */
  readonly schemaVersion?: string;
}

const COMMAND_TIMEOUT_MS = 600_000;

/** The types of values in the order of the server's sort; `$gt` alone sees only those of its value's own type. */
const SORTED_TYPES = [
  ["number"],
  ["string", "symbol"],
  ["object"],
  ["binData"],
  ["objectId"],
  ["bool"],
  ["date"],
  ["timestamp"],
] as const;

/**
 * A source of the documents of a MongoDB collection, in the order of `_id`, or of a watermark and `_id`, a page of at least 1,000 at a
 * time. Offsets are `{ after, records, of }` with the exact values of the last document, as canonical Extended JSON. Documents without the
 * watermark are left out; what is said of late rows at `sqlRows` holds here too (an ObjectId is made by its client, and may come late).
 * On a replica set only what a majority has is read, which no election takes away. Records are documents as the driver gives them.
 */
export function mongodbCollection<Row = Record<string, unknown>>(options: MongodbCollectionSourceOptions): Source<Row> {
  const { url, client, database, collection, watermark } = options;
  if ((url === undefined) === (client === undefined || database === undefined))
    throw new MementoError("INVALID_ARGUMENT", "mongodbCollection takes a url, or a client and the name of a database");
  const address = url === undefined ? null : readAddress(url);
  const fields = watermark === undefined || watermark === "_id" ? ["_id"] : [watermark, "_id"];
  const where = address?.where ?? database ?? "";
  return new KeysetSource<Document>({
    kind: "mongodb-collection",
    schemaVersion: options.schemaVersion ?? "1",
    describe: () => `collection ${collection} of ${where}`,
    what: collection,
    open: async () => {
      const { BSON } = await loadPeer<typeof Mongodb>("mongodb", ">=6.12 <8", "A source of documents of MongoDB");
      const connection =
        address === null
          ? await borrowClient(client as MongoClient, database ?? "", "auto")
          : await connectUrl(address, "auto");
      const concern = connection.replicated ? { readConcern: { level: "majority" } as never } : {};
      const documents = connection.database.collection(collection, concern);
      const close = async (): Promise<void> => await connection.close();
      return new CollectionReader({ documents, fields, filter: options.filter ?? {}, where, ejson: BSON.EJSON, close });
    },
    columns: fields,
    moves: watermark !== undefined,
    onlyGrows: options.onlyGrows ?? false,
  }) as Source as Source<Row>;
}

interface ReaderParts {
  readonly documents: Collection;
  readonly fields: readonly string[];
  readonly filter: Readonly<Record<string, unknown>>;
  readonly where: string;
  readonly ejson: typeof Mongodb.BSON.EJSON;
  readonly close: () => Promise<void>;
}

class CollectionReader implements KeysetReader<Document> {
  readonly #parts: ReaderParts;

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  fits(key: KeyValues): boolean {
    return key.every((value) => this.#isValue(value));
  }

  async page(after: KeyValues | null, limit: number): Promise<KeysetPage<Document>> {
    const { documents, fields } = this.#parts;
    const sort = Object.fromEntries(fields.map((field) => [field, 1 as const]));
    const records = await this.#asked(
      async () =>
        await documents.find(this.#filter(after, null), { sort, limit, maxTimeMS: COMMAND_TIMEOUT_MS }).toArray(),
    );
    return { records, keys: records.map((record) => fields.map((field) => this.#encoded(sortedValue(record, field)))) };
  }

  async count(after: KeyValues | null, upTo: KeyValues | null): Promise<number> {
    const { documents } = this.#parts;
    return await this.#asked(
      async () => await documents.countDocuments(this.#filter(after, upTo), { maxTimeMS: COMMAND_TIMEOUT_MS }),
    );
  }

  async alike(key: KeyValues): Promise<number> {
    const { documents, filter } = this.#parts;
    const same = { $and: [filter, this.#same(key)] };
    return await this.#asked(async () => await documents.countDocuments(same, { maxTimeMS: COMMAND_TIMEOUT_MS }));
  }

  async close(): Promise<void> {
    await this.#parts.close();
  }

  async #asked<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw failureOf(error, this.#parts.where);
    }
  }

  #filter(after: KeyValues | null, upTo: KeyValues | null): Filter<Document> {
    const { fields, filter } = this.#parts;
    const conditions: Filter<Document>[] = [filter];
    for (const field of fields) if (field !== "_id") conditions.push({ [field]: { $ne: null } });
    if (after !== null) conditions.push({ $or: this.#beyond(after, "after") });
    if (upTo !== null) conditions.push({ $or: [...this.#beyond(upTo, "before"), this.#same(upTo)] });
    return { $and: conditions };
  }

  /** Documents on one side of a key: by its first field, or where that is the same, by the next. */
  #beyond(key: KeyValues, side: "after" | "before"): Filter<Document>[] {
    const { fields } = this.#parts;
    return fields.flatMap((field, index) => {
      const equal = Object.fromEntries(
        fields.slice(0, index).map((name, at) => [name, { $eq: this.#decoded(key[at] ?? null) }]),
      );
      const value = this.#decoded(key[index] ?? null);
      const types = typesBeyond(value, side);
      const others = types.length === 0 ? [] : [{ $type: types }];
      return [...ofSameType(value, side), ...others].map((condition) => ({ ...equal, [field]: condition }));
    });
  }

  #same(key: KeyValues): Filter<Document> {
    const { fields } = this.#parts;
    return Object.fromEntries(fields.map((name, at) => [name, { $eq: this.#decoded(key[at] ?? null) }]));
  }

  /** What is no value that documents are read in the order of is taken for another one, or refused by the driver with an error of its own. */
  #isValue(value: Json): boolean {
    if (value === null || Array.isArray(value)) return false;
    if (typeof value !== "object" || !Object.keys(value).some((name) => name.startsWith("$"))) return true;
    try {
      const decoded = this.#decoded(value);
      return decoded instanceof Date
        ? !Number.isNaN(decoded.getTime())
        : isDeepStrictEqual(this.#encoded(decoded), value);
    } catch {
      return false;
    }
  }

  #encoded(value: unknown): Json {
    return (this.#parts.ejson.serialize({ value }, { relaxed: false }) as { readonly value: Json }).value;
  }

  #decoded(value: Json): unknown {
    return (this.#parts.ejson.deserialize({ value }, { relaxed: false }) as { readonly value: unknown }).value;
  }
}

function valueAt(document: Document, field: string): unknown {
  let value: unknown = document;
  for (const name of field.split(".")) value = (value as Record<string, unknown> | null | undefined)?.[name];
  return value;
}

/** The value that a document is sorted by. INVALID_ARGUMENT for one that has no place of its own among others, as an array has none. */
function sortedValue(document: Document, field: string): unknown {
  const value = valueAt(document, field);
  if (rankOf(value) !== -1) return value;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `documents cannot be read in the order of ${field}: one has an array or another value there that has no single place in an order`,
    {
      hint: "Leave out such documents by filter, or choose another watermark.",
    },
  );
}

/** Conditions on values of the value's own type. The server sorts NaN before all numbers, and no comparison but one with NaN itself finds it. */
function ofSameType(value: unknown, side: "after" | "before"): unknown[] {
  if (isNotANumber(value)) return side === "after" ? [{ $gte: Number.NEGATIVE_INFINITY }] : [];
  if (side === "after") return [{ $gt: value }];
  return typeOf(value) === "number" ? [{ $lt: value }, Number.NaN] : [{ $lt: value }];
}

/** The types whose values all stand on one side of a value. */
function typesBeyond(value: unknown, side: "after" | "before"): string[] {
  const own = rankOf(value);
  if (own === -1) throw new MementoError("SOURCE_MOVED", "the offset is not one of documents in this order");
  return (side === "after" ? SORTED_TYPES.slice(own + 1) : SORTED_TYPES.slice(0, own)).flat();
}

const rankOf = (value: unknown): number =>
  SORTED_TYPES.findIndex((types) => types.some((type) => type === typeOf(value)));

/** Also of the driver's own classes, whose text it is. */
const isNotANumber = (value: unknown): boolean => typeOf(value) === "number" && String(value) === "NaN";

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return "none";
  if (typeof value === "number" || typeof value === "bigint") return "number";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (value instanceof Date) return "date";
  if (value instanceof Uint8Array) return "binData";
  const { _bsontype: bson } = value as { readonly _bsontype?: string };
  if (bson === undefined) return Array.isArray(value) ? "array" : "object";
  return BSON_TYPES[bson] ?? "none";
}

const BSON_TYPES: Readonly<Record<string, string>> = {
  Int32: "number",
  Double: "number",
  Long: "number",
  Decimal128: "number",
  BSONSymbol: "symbol",
  Binary: "binData",
  UUID: "binData",
  ObjectId: "objectId",
  Timestamp: "timestamp",
};
