import { sha256 } from "../core/digest.ts";
import { isMementoError, MementoError } from "../core/errors.ts";
import { entryText } from "./entry-text.ts";
import { decodePackHeader, type PackHeader } from "./header.ts";
import type { PackReplacement } from "./store.ts";

/** A pack as it lies in a store before it is replaced. */
export interface ReplacedPack {
  /** Its header's bytes, readable or not; null when nothing is left of it. */
  readonly header: Uint8Array | null;
  readonly hasBody: boolean;
  /** The mementos that the index has in it. */
  readonly slots: readonly { readonly id: string; readonly slot: number; readonly removed: boolean }[];
}

/**
 * Checks a replacement before anything is looked up, and gives its header. INVALID_ARGUMENT for one that contradicts
 * itself, PLAINTEXT_REFUSED for an unsealed pack in a sealed store, CAPABILITY_MISSING for a body that is too large.
 */
export function checkReplacement(
  { ids, header, body }: PackReplacement,
  store: { readonly sealed: boolean; readonly bodyBytesMax: number },
): PackHeader {
  const understood = decodePackHeader(header, "the pack that is to be stored");
  if (store.sealed && understood.suite !== "A256GCM") {
    throw new MementoError("PLAINTEXT_REFUSED", "The pack is not sealed, and this store takes sealed ones only");
  }
  if (body !== null && body.byteLength > store.bodyBytesMax) {
    const sizes = `${body.byteLength} bytes, and the store takes ${store.bodyBytesMax} at most`;
    throw new MementoError("CAPABILITY_MISSING", `The pack's body has ${sizes}`);
  }
  const stranger = ids.find((id) => !understood.entries.some((entry) => entry.id === id));
  if (ids.length === 0 || stranger !== undefined) {
    throw new MementoError("INVALID_ARGUMENT", `The pack that is to be stored does not hold ${stranger ?? "anything"}`);
  }
  return understood;
}

/**
 * Decides whether a pack may take the place of the stored one: false when that is another one than was expected.
 * INVALID_ARGUMENT when its mementos are others, when its entries are and something of it is left, or when it would take the
 * body from under a live memento.
 */
export function mayReplace(
  replacement: PackReplacement,
  { entries }: PackHeader,
  { header, hasBody, slots }: ReplacedPack,
): boolean {
  const { expectedHeaderDigest, body } = replacement;
  if (expectedHeaderDigest !== null && (header === null || !hasBody || sha256(header) !== expectedHeaderDigest)) {
    return false;
  }
  const moved = slots.find(({ id, slot }) => entries[slot]?.id !== id);
  if (moved !== undefined)
    throw new MementoError("INVALID_ARGUMENT", `Slot ${moved.slot} of the new pack does not hold memento ${moved.id}`);
  // Where nothing of it is left, a header that was damaged is as good as none.
  const isEmptied = body === null && slots.every(({ removed }) => removed);
  const before = header === null || isEmptied ? null : readable(header);
  if (before !== null && before.entries.map(entryText).join("\n") !== entries.map(entryText).join("\n"))
    throw new MementoError("INVALID_ARGUMENT", "The new pack says other things of its mementos than the stored one");
  const live = slots.find(({ removed }) => !removed);
  if (body === null && live !== undefined)
    throw new MementoError("INVALID_ARGUMENT", `Memento ${live.id} is live: its pack needs a body`);
  return true;
}

function readable(header: Uint8Array): PackHeader | null {
  try {
    return decodePackHeader(header, "the stored pack");
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return null;
    throw error;
  }
}
