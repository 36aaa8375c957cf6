import { MementoError, type ErrorCode } from "../../packages/memento/src/core/errors.ts";
import type { MementoStore } from "../../packages/memento/src/store/store.ts";
import { chaosStore } from "../../packages/memento/src/testing/chaos-store.ts";

/** A store that can be made to fail, and counts its calls. */
export interface MoodyStore {
  readonly store: MementoStore;
  /** What every call but `close` throws from now on; null: nothing. */
  fails: ErrorCode | null;
  calls: number;
}

/** Puts a store into such moods. */
export function moody(store: MementoStore): MoodyStore {
  const mood = { fails: null as ErrorCode | null, calls: 0 };
  const before = ({ method }: { readonly method: string }): void => {
    mood.calls += 1;
    if (mood.fails !== null && method !== "close") throw new MementoError(mood.fails, "made to fail");
  };
  return Object.assign(mood, { store: chaosStore(store, { before }) });
}
