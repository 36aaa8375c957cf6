import { isMementoError, MementoError } from "../core/errors.ts";
import type { TimelineAddress } from "../core/timeline.ts";
import { LeaseKeeper, type LeaseOptions } from "./lease-keeper.ts";
import type { Vault } from "./vault.ts";

/** No caretaker of a user's has an empty name. */
const MAINTENANCE: TimelineAddress = { caretaker: "", originator: "maintenance", partition: "", fork: "" };

/** True for the store's own timeline, on which nothing is ever saved: whoever holds its lease does maintenance. */
export function isMaintenance({ caretaker }: Pick<TimelineAddress, "caretaker">): boolean {
  return caretaker === MAINTENANCE.caretaker;
}

/**
 * Takes the right to do maintenance: garbage collection, secure deletion and the like exclude each other by a lease in
 * the store, whichever machines they run on. LOCKED, naming the holder, when another one is at it.
 */
export async function beginMaintenance(vault: Vault, options: LeaseOptions = {}): Promise<LeaseKeeper> {
  const { record } = await vault.ensureTimeline(MAINTENANCE, "configuration");
  try {
    return await LeaseKeeper.acquire(vault, record.key, options);
  } catch (error) {
    if (!isMementoError(error, "LOCKED")) throw error;
    const { pid, expiresAt } = error.details;
    const who = typeof pid === "number" ? `process ${pid}` : "another worker";
    throw new MementoError(
      "LOCKED",
      `Maintenance of this store is under way in ${who}, until ${String(expiresAt)} unless renewed`,
      {
        cause: error,
        details: error.details,
      },
    );
  }
}
