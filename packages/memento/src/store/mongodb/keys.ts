import { MementoError } from "../../core/errors.ts";
import type { KeyRecord } from "../store.ts";
import { hiddenDraft } from "./changes.ts";
import type { Change } from "./committer.ts";
import { damagedDocument, FACTS, keyKey, type StoreDocument } from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/** Stores a key where its id is free. It stands outside the log, so that nothing of it is left once it is destroyed. */
export async function storeKey({ documents, maxTimeMS }: StoreAccess, key: KeyRecord): Promise<void> {
  const { id, retired: _, ...facts } = key;
  const fields = { at: 0, is: "key", key: facts, retired: false, dropped: false };
  await documents.updateOne({ _id: keyKey(id) }, { $setOnInsert: fields }, { upsert: true, maxTimeMS });
}

/** Every key that counts: of integrity keys several may have been written, when several made the store at once. */
export async function readKeys({ documents, maxTimeMS }: StoreAccess): Promise<readonly KeyRecord[]> {
  const facts = await documents.findOne({ _id: FACTS }, { maxTimeMS });
  if (facts === null) return [];
  const found = await documents.find({ is: "key" }, { maxTimeMS }).toArray();
  const keys = found.flatMap((document) => keyOf(document) ?? []);
  if (!keys.some(({ id }) => id === facts["integrityKey"]))
    throw damagedDocument(keyKey(String(facts["integrityKey"])));
  return keys.filter(({ purpose, id }) => purpose !== "integrity" || id === facts["integrityKey"]);
}

/** Replaces a key's wrapping by the expected one of the ring. */
export async function rewrapKey(
  { documents, maxTimeMS }: StoreAccess,
  { id, ring, wrapped }: KeyRecord,
  expectedRing: string,
): Promise<boolean> {
  const filter = { _id: keyKey(id), "key.ring": expectedRing, dropped: false };
  const update = { $set: { "key.ring": ring, "key.wrapped": wrapped } };
  return (await documents.updateOne(filter, update, { maxTimeMS })).matchedCount === 1;
}

/** Retires a data key: what is committed behind this was judged by it. */
export function retireChange({ documents, maxTimeMS }: StoreAccess, id: string): Change<boolean> {
  const document = keyKey(id);
  return {
    groups: false,
    prepare: async () => {
      const key = keyOf(await documents.findOne({ _id: document }, { maxTimeMS }));
      if (key === null) return { draft: null, answer: false };
      if (key.purpose === "integrity")
        throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be retired");
      if (key.retired === true) return { draft: null, answer: true };
      return { draft: hiddenDraft([{ act: "change", id: document, fields: { retired: true } }]), answer: true };
    },
  };
}

/** Destroys a data key; its id stays taken. */
export function dropChange({ documents, maxTimeMS }: StoreAccess, id: string): Change<boolean> {
  const document = keyKey(id);
  return {
    groups: false,
    prepare: async () => {
      const key = keyOf(await documents.findOne({ _id: document }, { maxTimeMS }));
      if (key === null) return { draft: null, answer: false };
      if (key.purpose === "integrity")
        throw new MementoError("INVALID_ARGUMENT", "The integrity key cannot be dropped");
      const fields = { dropped: true, retired: true, key: null };
      return { draft: hiddenDraft([{ act: "change", id: document, fields }]), answer: true };
    },
  };
}

/** The key of a document; null where it was destroyed. */
function keyOf(document: StoreDocument | null): KeyRecord | null {
  if (document === null || document["dropped"] === true) return null;
  const { key, retired, _id } = document;
  if (typeof key !== "object" || key === null) throw damagedDocument(_id);
  const facts = key as Omit<KeyRecord, "id" | "retired">;
  return { id: String(_id).slice(2), ...facts, ...(retired === true ? { retired: true as const } : {}) };
}
