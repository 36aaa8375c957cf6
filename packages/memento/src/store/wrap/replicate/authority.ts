import type { Lease } from "../../../core/timeline.ts";
import type { CaretakerRecord } from "../../store.ts";
import type { PackBytes } from "../pack-cache.ts";

/** What a replica asks of whoever holds the store's keys. `replicaAuthority` of the vault makes it; see docs/wrappers.md. */
export interface ReplicaAuthority {
  /** A head's keyed check: the log of commits does not have it. */
  headCheck(timeline: string, id: string, sequence: number): string;
  /** A lease of this epoch that nobody holds. */
  freeLease(timeline: string, epoch: number): Lease;
  /** The keyed check of a caretaker's record. */
  caretakerCheck(record: Omit<CaretakerRecord, "check">): string;
  /** True when header and body are what was sealed. Left out: only what shows without a key is found on reads. */
  isWhole?(pack: PackBytes): Promise<boolean>;
}
