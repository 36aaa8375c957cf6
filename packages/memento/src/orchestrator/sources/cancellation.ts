import { MementoError } from "../../core/errors.ts";

/** Throws CANCELLED once the signal has fired, with the signal's reason as its cause. */
export function throwIfCancelled(signal: AbortSignal, what: string): void {
  if (signal.aborted) throw new MementoError("CANCELLED", `reading ${what} was stopped`, { cause: signal.reason });
}
