import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import { decodePackHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { StoredMemento } from "../../store/store.ts";
import { openPack, type OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import { resealHere } from "./reseal-here.ts";

/** The removed mementos of a timeline, as its store has them. */
export async function removedOn(vault: Vault, timeline: string): Promise<ReadonlySet<string>> {
  const removed = new Set<string>();
  for await (const row of vault.store.query(mementoQuery({ timeline, removed: true })))
    if (row.removed) removed.add(row.entry.id);
  return removed;
}

/**
 * Gives a removed memento back what garbage collection has taken of it and a file brings again, because mementos that are
 * still to come may need it. Every byte is the right one or zero, here and in the file: both together are all that is known.
 */
export async function refill(vault: Vault, pack: OpenedPack, id: string): Promise<void> {
  const stored = await vault.store.read(id);
  if (stored === null) return;
  const found = await openStored(vault, stored, pack, id);
  const merged = merge(found, pack, id);
  if (merged === null) return;
  const ids = merged.header.entries.map((entry) => entry.id);
  const expectedHeaderDigest = stored.body === null ? null : sha256(stored.header);
  const slots = ids.map((_, slot) => slot);
  const replaced = await resealHere(
    vault,
    merged,
    slots,
    async (sealed) => await vault.store.replacePack({ ids, ...sealed, expectedHeaderDigest }),
  );
  if (replaced) return;
  throw new MementoError("CONFLICT", `Memento ${id} moved while it was imported`, { hint: "Import again." });
}

/** The stored pack; where its body is gone, one of the same form without anything in it. */
async function openStored(
  vault: Vault,
  { header, body }: StoredMemento,
  like: OpenedPack,
  id: string,
): Promise<OpenedPack> {
  const where = `The pack of memento ${id}`;
  const decoded = decodePackHeader(header, where);
  if (body === null) {
    return {
      header: decoded,
      manifests: decoded.entries.map(() => new Uint8Array()),
      sections: like.sections.map(({ length }) => new Uint8Array(length)),
    };
  }
  const { dataKey } = decoded;
  return openPack(
    { header, body },
    dataKey === null ? null : ((await vault.dataKeys?.forOpening(dataKey)) ?? null),
    where,
  );
}

/** Both together; null when the stored pack has all of it already. */
function merge(found: OpenedPack, brought: OpenedPack, id: string): OpenedPack | null {
  const lengths = (pack: OpenedPack): string => pack.sections.map(({ length }) => length).join();
  if (lengths(found) !== lengths(brought)) {
    throw new MementoError("CONFLICT", `Memento ${id} lies in another pack here, and cannot be filled again`, {
      hint: "Import into another store.",
      details: { id },
    });
  }
  const slots = new Map(brought.header.entries.map((entry, slot) => [entry.id, slot]));
  let isMore = false;
  const manifests = found.header.entries.map((entry, slot) => {
    const known = found.manifests[slot] ?? new Uint8Array();
    const other = brought.manifests[slots.get(entry.id) ?? -1] ?? new Uint8Array();
    if (known.length > 0 || other.length === 0) return known;
    isMore = true;
    return other;
  });
  const sections = found.sections.map((section, index) => {
    const both = Uint8Array.from(section);
    const other = brought.sections[index] ?? new Uint8Array();
    for (let at = 0; at < both.length; at++) both[at] = (both[at] ?? 0) | (other[at] ?? 0);
    isMore ||= !Buffer.from(both.buffer).equals(section);
    return both;
  });
  return isMore ? { header: found.header, manifests, sections } : null;
}
