import { MementoError } from "../../../core/errors.ts";
import type { MementoStore } from "../../store.ts";
import type { ReplicaAuthority } from "./authority.ts";

/** How a replica is made the store. */
export interface PromoteOptions {
  readonly authority: Pick<ReplicaAuthority, "freeLease">;
  /**
   * By how many epochs every timeline is moved on; 1 by default, which is right behind a replica that was synchronous. Behind a
   * streamed one somebody may have taken leases that it never heard of: name more than can have been taken in that time.
   */
  readonly epochs?: number;
}

/**
 * Makes a replica a store of its own: from now on it refuses what comes from its old primary, whose synchronous writers are
 * told FENCED by it, and every lease of before is at an end. Returns how many timelines were moved on. May be done again.
 */
export async function promoteReplica(replica: MementoStore, options: PromoteOptions): Promise<number> {
  const { authority, epochs = 1 } = options;
  if (!Number.isInteger(epochs) || epochs < 1)
    throw new MementoError("INVALID_ARGUMENT", `epochs is a whole number from 1, not ${epochs}`);
  if ((await replica.meta()) === null) throw new MementoError("NOT_A_STORE", `There is no store at ${replica.url}`);
  let timelines = 0;
  for await (const { record, lease } of replica.timelines(null)) {
    const target = lease.epoch + epochs;
    for (let epoch = lease.epoch; epoch < target;) {
      const taken = await replica.acquireLease({
        timeline: record.key,
        lease: authority.freeLease(record.key, epoch + 1),
      });
      epoch = taken ? epoch + 1 : ((await replica.timeline(record.key))?.lease.epoch ?? target);
    }
    timelines += 1;
  }
  return timelines;
}
