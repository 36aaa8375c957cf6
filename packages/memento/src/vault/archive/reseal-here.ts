import { isMementoError } from "../../core/errors.ts";
import type { KeyRecord } from "../../store/store.ts";
import { DEFAULT_COMPRESSION } from "../compression.ts";
import { repack, wholeSlots, type OpenedPack } from "../repack.ts";
import type { SealedPack } from "../seal.ts";
import type { Vault } from "../vault.ts";

/** A pack that is sealed for a store, with the data key that the store may not have yet. */
export interface PackForStore extends SealedPack {
  readonly dataKey: KeyRecord | null;
}

const FRESH_KEYS_MAX = 3;

/**
 * Seals slots of a pack under a store's own keys and hands them to `keep`, which stores them; again under a fresh key when
 * a secure deletion has retired the one that was used.
 */
export async function resealHere<T>(
  vault: Vault,
  pack: OpenedPack,
  slots: readonly number[],
  keep: (pack: PackForStore) => Promise<T>,
): Promise<T> {
  const { caretaker } = pack.header.entries[slots[0] ?? 0] ?? { caretaker: "" };
  for (let attempt = 1; ; attempt++) {
    const sealing = (await vault.dataKeys?.forSealing(caretaker)) ?? null;
    const sealed = await repack(pack, wholeSlots(slots), {
      dataKey: sealing?.key ?? null,
      compression: DEFAULT_COMPRESSION,
      random: vault.random,
    });
    try {
      const kept = await keep({ ...sealed, dataKey: sealing?.record ?? null });
      if (sealing !== null) await vault.dataKeys?.stored(sealing.key.id);
      return kept;
    } catch (error) {
      if (!isMementoError(error, "KEY_RETIRED") || sealing === null || attempt >= FRESH_KEYS_MAX) throw error;
      vault.dataKeys?.retire(sealing.key.id);
    }
  }
}
