import type { Collection, Db, IndexDescription } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { FORMAT_VERSION } from "../header.ts";
import type { StoreMeta } from "../store.ts";
import { FACTS, parsed, type StoreDocument } from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/** What comes behind a store's prefix in the names of its two collections. */
export const COLLECTIONS = { documents: "store", chunks: "chunks" } as const;

/**
 * Sparse: each holds only the documents that have its fields, so that log documents and all others cost it nothing.
 * Every query by one of them names a range of orders, which those without one are outside of.
 */
const INDEXES: IndexDescription[] = [
  { key: { order: 1 }, sparse: true },
  ...["timeline", "caretaker", "originator", "run", "labels", "created"].map((field) => ({
    key: { [field]: 1, order: 1 } as Record<string, 1>,
    sparse: true,
  })),
  { key: { name: 1 }, sparse: true },
  { key: { address: 1 }, sparse: true, unique: true },
  { key: { made: 1 }, sparse: true },
  { key: { is: 1 }, sparse: true },
];

/** Makes the collections and their indexes; of several who do so at once each finds them made. */
export async function makeCollections(database: Db, prefix: string, maxTimeMS: number): Promise<void> {
  for (const name of Object.values(COLLECTIONS)) {
    try {
      await database.createCollection(`${prefix}${name}`, { maxTimeMS });
    } catch (error) {
      // It is there already.
      if (!(error instanceof Error) || !("code" in error) || error.code !== 48) throw error;
    }
  }
  const documents: Collection<StoreDocument> = database.collection(`${prefix}${COLLECTIONS.documents}`);
  await documents.createIndexes(INDEXES, { maxTimeMS });
}

/**
 * The store's facts; null where there is no store. NOT_A_STORE for a collection of something else, DAMAGED for a store
 * that has lost its facts, FORMAT_UNKNOWN for one of a newer release.
 */
export async function readFacts({ documents, where, maxTimeMS }: StoreAccess): Promise<StoreMeta | null> {
  const facts = await documents.findOne({ _id: FACTS }, { maxTimeMS });
  if (facts === null) {
    const other = await documents.findOne(
      { _id: { $not: /^(?:k|s|proof)\//u } },
      { maxTimeMS, projection: { _id: 1 } },
    );
    if (other === null) return null;
    const ours =
      other._id === 1 || (typeof other._id === "number" && other._id > 0) || /^[tmnc]\//u.test(String(other._id));
    throw new MementoError(
      ours ? "DAMAGED" : "NOT_A_STORE",
      ours ? `${where}: the store has lost its facts` : `${where}: the collection holds something else than a store`,
      { details: { url: where } },
    );
  }
  const meta = parsed(facts["meta"], FACTS) as StoreMeta;
  if (meta.format !== FORMAT_VERSION) {
    const reads = `this release reads format ${FORMAT_VERSION}`;
    throw new MementoError("FORMAT_UNKNOWN", `${where}: the store is of format ${meta.format}; ${reads}`);
  }
  return meta;
}
