import type { MementoStore } from "../store/store.ts";
import { interceptStore, type StoreCall } from "../store/wrap/intercept.ts";

/** A call of a chaos store, with its number in the order in which the calls began, from 1. */
export interface NumberedCall extends StoreCall {
  readonly number: number;
}

/** What happens around a store's calls. */
export interface StoreChaos {
  /** Called before the store is; what it throws is thrown in place of the call. */
  readonly before?: (call: NumberedCall) => Promise<void> | void;
  /** Called once the store has done its work; what it throws takes the place of the answer, as when an answer is lost. */
  readonly after?: (call: NumberedCall) => Promise<void> | void;
}

/** A store around whose calls anything can be made to happen. Each `next()` of an iterable is a call. */
export function chaosStore(store: MementoStore, { before, after }: StoreChaos): MementoStore {
  let number = 0;
  return interceptStore(store, async (call, proceed) => {
    number += 1;
    const numbered = { ...call, number };
    await before?.(numbered);
    const result = await proceed();
    await after?.(numbered);
    return result;
  });
}

/** At which call a process kills itself, and on which side of it. */
export interface KillPoint {
  /** The call's number, from 1. */
  readonly call: number;
  readonly phase: "before" | "after";
}

/**
 * Kills its own process by SIGKILL before or after one call of a chaos store: no handler runs, and nothing later
 * happens. Count the calls of an undisturbed run first, then start one process for each call and phase.
 */
export function killAt({ call, phase }: KillPoint): StoreChaos {
  return {
    [phase]: ({ number }: NumberedCall): void => {
      if (number !== call) return;
      process.kill(process.pid, "SIGKILL");
      // The signal may need a moment, in which this process must not go on.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  };
}
