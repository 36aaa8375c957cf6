import { MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { type Clock, type Random, systemRandom } from "../../../core/ports.ts";

/** A call that is to be made. */
export interface Call<Row> {
  /** As JSON has them: what a repeated call gets is the same. */
  readonly rows: readonly Row[];
  /** The token of the write that the call belongs to. */
  readonly token: string;
  /**
   * The idempotency key, 32 characters of base64url: the same whenever this call is made again, and of no other call. Hand it to
   * the far end.
   */
  readonly key: string;
  /** The lease's epoch, for a far end that can refuse older ones. */
  readonly epoch: number;
  /** True: it was made before, and its answer was lost. */
  readonly repeated: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A call that was made and is to be taken back. `key` is the compensation's own. */
export interface MadeCall<Row> extends Call<Row> {
  /** The key that the call was made with. */
  readonly madeWith: string;
  /** What `write` answered; null where that is not known. */
  readonly answer: Json;
}

/** What became of a call whose answer was lost. */
export type CallOutcome = { readonly made: false } | { readonly made: true; readonly answer?: Json };

/** What `compensatingCalls` takes. */
export interface CallsOptions<Row> {
  /** What is called, for people; without secrets. */
  readonly name: string;
  /** The file of the sink's journal, a SQLite database; made where there is none. Several sinks may share one. */
  readonly journal: string;
  /**
   * Makes a call; what it gives is kept, as JSON, for `compensate`. It may be called again with the same key, and should then have
   * no second effect. A RECORD_INVALID, UNSUPPORTED_VALUE or ACCESS_DENIED thrown here says that nothing was made; after any
   * other error that is not known.
   */
  readonly write: (call: Call<Row>) => Promise<Json | void>;
  /**
   * Takes a call back. May be called again with the same key. `stays` says that this one cannot be taken back any more: it is
   * named in the evidence. Left out: the sink cannot revert.
   */
  readonly compensate?: (call: MadeCall<Row>) => Promise<"stays" | void>;
  /** Rows of one call at most; default: all rows of a batch. */
  readonly rowsPerCall?: number;
  /** Calls of one batch that are under way at once; default 1. */
  readonly callsAtOnce?: number;
  /**
   * What is done about a call whose answer was lost: `repeat`, the default, makes it again with its key (at least once, and once
   * where the far end honours the key); `skip` takes it as made (at most once); `refuse` stops with NOT_REVERTIBLE until a
   * person has looked; a function asks the far end.
   */
  readonly unanswered?: "repeat" | "skip" | "refuse" | ((call: Call<Row>) => Promise<CallOutcome>);
  /** How long to wait for the journal's lock before LOCKED; default 30,000. */
  readonly busyTimeoutMs?: number;
  readonly random?: Random;
}

/** The source of a journal's name. */
export const randomOf = ({ random = systemRandom }: { readonly random?: Random }): Random => random;

/** Throws INVALID_ARGUMENT for options that cannot work, before anything is opened. */
export function checkOptions({ name, journal, rowsPerCall = 1, callsAtOnce = 1 }: CallsOptions<never>): void {
  if (name === "") throw invalid("name says what is called, for people");
  // A journal in memory ends with the process: nothing could be resumed or reverted.
  if (journal === "" || journal === ":memory:") throw invalid("journal is the path of a file");
  for (const [option, value] of Object.entries({ rowsPerCall, callsAtOnce })) {
    if (!Number.isSafeInteger(value) || value < 1)
      throw invalid(`${option} is ${value} and must be a whole number from 1 on`);
  }
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
