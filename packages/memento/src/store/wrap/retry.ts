import { sha256 } from "../../core/digest.ts";
import { isMementoError, type ErrorCode } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import type {
  AppendBatch,
  AppendResult,
  CaretakerRecord,
  KeyRecord,
  LeaseChange,
  MementoStore,
  PackReplacement,
} from "../store.ts";
import { interceptStore, type StoreCall, type StoreMethod } from "./intercept.ts";

/** How often and how patiently calls are repeated. */
export interface RetryOptions {
  readonly clock: Clock;
  /** Calls in all, the first one included; 5 by default. */
  readonly attemptsMax?: number;
  /** The pause before the second call, in milliseconds; each later one is twice as long. 20 by default. */
  readonly firstPauseMs?: number;
  /** 1000 by default. */
  readonly pauseMsMax?: number;
}

/** After these nothing has been done, so that any call may be repeated as it was. */
const NOTHING_DONE: ReadonlySet<string> = new Set<ErrorCode>(["LOCKED", "DISK_FULL"]);

/** Repeating one of these after its answer was lost would do it twice, or give an answer that is not true. */
const NEVER_BLINDLY: ReadonlySet<string> = new Set<StoreMethod>([
  "remove",
  "note",
  "reclaim",
  "removeCaretaker",
  "dropKey",
  "rebuildIndex",
]);

/**
 * Repeats calls that fail with a retryable error, a bounded number of times with growing pauses. Where the answer may
 * have been lost although the call was done (IO_FAILED), a repeated call that is refused is looked into: what is found
 * in the store counts as done by it. `remove`, `note`, `reclaim`, `removeCaretaker`, `dropKey` and `rebuildIndex` are
 * then not repeated, and throw. Results such as a conflict or a taken name are answers, and never repeated.
 */
export function retryStore(store: MementoStore, options: RetryOptions): MementoStore {
  const { clock, attemptsMax = 5, firstPauseMs = 20, pauseMsMax = 1_000 } = options;
  return interceptStore(store, async (call, proceed) => {
    let mayBeDone = false;
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await proceed();
        return mayBeDone ? await settle(store, call, result) : result;
      } catch (error) {
        if (!isMementoError(error) || !error.retryable || attempt >= attemptsMax || call.method === "close")
          throw error;
        mayBeDone ||= !NOTHING_DONE.has(error.code);
        if (mayBeDone && NEVER_BLINDLY.has(call.method)) throw error;
      }
      await clock.sleep(Math.min(firstPauseMs * 2 ** (attempt - 1), pauseMsMax));
    }
  });
}

/** The true answer of a call that was repeated after its first answer may have been lost. */
async function settle<T>(store: MementoStore, call: StoreCall, result: T): Promise<T> {
  if (call.method === "append") return (await settleAppend(store, call.args[0] as AppendBatch, result as never)) as T;
  if (result !== false) return result;
  return (await wasDone(store, call)) as T;
}

async function settleAppend(
  store: MementoStore,
  { records }: AppendBatch,
  results: readonly AppendResult[],
): Promise<readonly AppendResult[]> {
  const settled: AppendResult[] = [];
  for (const [slot, result] of results.entries()) {
    const id = records[slot]?.entry.id ?? "";
    const isThere = result.outcome !== "appended" && (await store.read(id)) !== null;
    settled.push(isThere ? { outcome: "appended" } : result);
  }
  return settled;
}

/** True when the store is as the call would have left it, and only this call could have done that. */
async function wasDone(store: MementoStore, { method, args }: StoreCall): Promise<boolean> {
  switch (method) {
    case "acquireLease":
    case "releaseLease": {
      const { timeline, lease } = args[0] as LeaseChange;
      return (await store.timeline(timeline))?.lease.check === lease.check;
    }
    case "rewrapKey": {
      const { id, ring, wrapped } = args[0] as KeyRecord;
      return (await store.keys()).some((key) => key.id === id && key.ring === ring && key.wrapped === wrapped);
    }
    case "replacePack": {
      const { ids, header, body } = args[0] as PackReplacement;
      const stored = await store.read(ids[0] ?? "");
      return stored !== null && digestOf(stored) === digestOf({ header, body });
    }
    case "saveCaretaker": {
      const { name, check } = args[0] as CaretakerRecord;
      return (await store.caretaker(name))?.check === check;
    }
    default:
      return false;
  }
}

/** One text for header and body; a header alone may be the same in two packs that are not sealed. */
function digestOf({ header, body }: Pick<PackReplacement, "header" | "body">): string {
  return `${sha256(header)} ${body === null ? "" : sha256(body)}`;
}
