import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Clock } from "../../../core/ports.ts";
import { repeatRolledBack } from "../../../store/sql/attempts.ts";

/** How often work is done again whose connection was lost, and the first pause before that. */
const LOST_MAX = 4;
const LOST_PAUSE_MS = 50;

/**
 * Does a transaction again, a bounded number of times, where others had to go first or where its connection was lost. The
 * second is only for work that finds out by its token whether it was done.
 */
export async function untilAnswered<T>(clock: Clock, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let lost = 1; ; lost++) {
    try {
      return await repeatRolledBack(clock, work);
    } catch (error) {
      if (!isMementoError(error) || error.details["lost"] !== true || lost === LOST_MAX || signal.aborted) throw error;
    }
    await clock.sleep(LOST_PAUSE_MS * 4 ** (lost - 1), signal);
  }
}

/** The same error, marked as one after which nobody knows what was done. */
export function lostError(error: MementoError): MementoError {
  return new MementoError(error.code, error.message, {
    cause: error.cause,
    details: { ...error.details, lost: true },
  });
}

/** True for an error that says that the engine refused the data itself. */
export function isRefused(error: unknown): error is MementoError {
  return isMementoError(error) && error.details["refused"] === true;
}
