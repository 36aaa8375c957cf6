import { sha256 } from "../../core/digest.ts";
import { DEFAULT_COMPRESSION } from "../compression.ts";
import { manifestOf, openPack, repack, type OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import type { NeededPieces } from "./needed-pieces.ts";
import type { PieceMasks } from "./piece-masks.ts";
import type { PackFacts } from "./record-graph.ts";

/** How a pack is sealed anew. */
export interface ResealOptions {
  /** Also leaves out those bytes of a piece that no delta of others needs. */
  readonly masks: PieceMasks | null;
  /**
   * True: under the data key with which this vault seals now, even if there is nothing to leave out. False: under its own,
   * so that a later secure deletion finds every key that its mementos were ever sealed with.
   */
  readonly fresh: boolean;
}

/**
 * Seals a pack anew without the pieces and manifests that nobody needs. The new pack takes the old one's place in one
 * commit. Returns by how many bytes it is smaller; null when the pack was left alone: it is another one by now, or there
 * was nothing to leave out.
 */
export async function resealPack(
  vault: Vault,
  pack: PackFacts,
  needed: NeededPieces,
  { masks, fresh }: ResealOptions,
): Promise<number | null> {
  const stored = await vault.store.read(pack.ids[0] ?? "");
  if (stored === null || stored.body === null || sha256(stored.header) !== pack.digest) return null;
  const { header, body } = stored;
  const dataKey = pack.dataKey === null ? null : ((await vault.dataKeys?.forOpening(pack.dataKey)) ?? null);
  const found = openPack({ header, body }, dataKey, `the pack of memento ${pack.ids[0]}`);
  if (!fresh && !hasWaste(found, needed)) return null;
  const opened = { ...found, sections: found.sections.map((section) => Uint8Array.from(section)) };
  if (masks !== null) await maskPieces(opened, needed, masks);
  const freshKey = fresh && dataKey !== null ? ((await vault.dataKeys?.forSealing(pack.caretaker)) ?? null) : null;
  const codec = opened.header.sections.find((section) => section.codec !== "none")?.codec;
  const replacement = await repack(
    opened,
    {
      slots: opened.header.entries.map((_, slot) => slot),
      manifest: (slot) => needed.has(idOf(opened, slot)),
      piece: (slot, key) => needed.of(idOf(opened, slot)).has(key),
    },
    {
      dataKey: freshKey?.key ?? dataKey,
      compression: codec === undefined ? DEFAULT_COMPRESSION : { codec },
      random: vault.random,
    },
  );
  const replaced = await vault.store.replacePack({
    ids: pack.ids,
    ...replacement,
    expectedHeaderDigest: pack.digest,
    dataKey: freshKey?.record ?? null,
  });
  if (!replaced) return null;
  if (freshKey !== null) await vault.dataKeys?.stored(freshKey.key.id);
  return body.length - replacement.body.length;
}

const idOf = ({ header }: OpenedPack, slot: number): string => header.entries[slot]?.id ?? "";

/** True when the pack holds bytes other than zeros that nobody needs. */
function hasWaste(opened: OpenedPack, needed: NeededPieces): boolean {
  return opened.header.entries.some(({ id }, slot) => {
    const manifest = manifestOf(opened, slot);
    if (manifest === null) return false;
    const keys = needed.of(id);
    return [...manifest.held].some(
      ([key, { section, offset, bytes }]) =>
        !keys.has(key) &&
        opened.sections[section]?.subarray(offset, offset + bytes).some((byte) => byte !== 0) === true,
    );
  });
}

async function maskPieces(opened: OpenedPack, needed: NeededPieces, masks: PieceMasks): Promise<void> {
  for (const [slot, { id }] of opened.header.entries.entries()) {
    const manifest = needed.has(id) ? manifestOf(opened, slot) : null;
    if (manifest === null) continue;
    for (const [key, { section, offset, bytes }] of manifest.held) {
      const held = opened.sections[section]?.subarray(offset, offset + bytes);
      if (held !== undefined && needed.of(id).has(key)) await masks.apply(id, key, held);
    }
  }
}
