import { entryText } from "../../store/entry-text.ts";
import { manifestText, recordDigest, type MementoManifest } from "../record.ts";
import type { OpenedPack } from "../repack.ts";

/**
 * Fills a pack of mementos of which only entries are left with manifests that say so: no pieces. They are there only until
 * a later memento of their timeline is, and chained like others, so that a crash in between leaves a sound store.
 * `digests` has the last digest of each timeline, and is brought up to date.
 */
export function fillSpent(pack: OpenedPack, slots: readonly number[], digests: Map<string, string | null>): OpenedPack {
  const manifests = [...pack.manifests];
  for (const slot of slots) {
    const entry = pack.header.entries[slot];
    if (entry === undefined) continue;
    const layer = { id: entry.id, depth: 1, changes: new Map() };
    const manifest = manifestText(digests.get(entry.timeline) ?? null, null, layer, []);
    manifests[slot] = Buffer.from(manifest, "utf8");
    digests.set(entry.timeline, recordDigest(entryText(entry), manifest));
  }
  return { ...pack, manifests };
}

/** True for a record that `fillSpent` has made: no memento of anybody's has no piece at all. */
export function isFilledSpent({ base, held, layer }: MementoManifest): boolean {
  return base === null && held.size === 0 && layer.changes.size === 0;
}
