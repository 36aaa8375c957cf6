import { isMementoError } from "../core/errors.ts";
import { decodePackHeader } from "../store/header.ts";
import type { ReplicaAuthority } from "../store/wrap/index.ts";
import { openWhole } from "./repair/damaged-pack.ts";
import type { Vault } from "./vault.ts";

/**
 * The vault as the one that makes the checks of a replica's rows, and tells a whole pack from a damaged one. It is opened
 * over the bare primary, and stays open as long as the replicated store.
 */
export function replicaAuthority(vault: Vault): Required<ReplicaAuthority> {
  const { checks } = vault;
  return {
    headCheck: (timeline, id, sequence) => checks.head(timeline, id, sequence),
    freeLease: (timeline, epoch) => vault.leaseOf(timeline, { epoch, owner: null, expiresAt: 0, holder: null }),
    caretakerCheck: (record) => checks.caretaker(record),
    isWhole: async (pack) => {
      try {
        const opened = await openWhole(vault, pack, decodePackHeader(pack.header, "a pack"));
        return opened.header.entries.length > 0;
      } catch (error) {
        if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return false;
        throw error;
      }
    },
  };
}
