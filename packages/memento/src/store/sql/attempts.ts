import { isMementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";

/** How often a transaction is done again that was rolled back for others. */
const REPEATS_MAX = 20;

/** Does work again while it throws `mustRepeat`, a bounded number of times with growing pauses. */
export async function repeatRolledBack<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (let repeat = 1; ; repeat++) {
    try {
      return await work();
    } catch (error) {
      if (!isMementoError(error) || error.details["repeat"] !== true || repeat === REPEATS_MAX) throw error;
    }
    await clock.sleep(repeat);
  }
}

/**
 * Does work that only reads once more where its connection was lost: one that lay idle while the server was restarted
 * is not the caller's concern.
 */
export async function retryLost<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isMementoError(error, "STORE_UNREACHABLE")) throw error;
  }
  return await work();
}
