/** What a catalogue row says of one error code. */
interface ErrorRow {
  /** What has happened, in one sentence. */
  readonly meaning: string;
  /** The way out, in one sentence. */
  readonly hint: string;
  /** True when the same call may succeed later without a change by the user. */
  readonly retryable?: boolean;
}

/**
 * Every error that Memento raises. Codes survive major versions; messages may change.
 * `docs/errors.md` repeats this table, and a test holds the two equal.
 */
export const ERROR_CATALOGUE = {
  ACCESS_DENIED: {
    meaning: "The engine refused the account, or what it may do.",
    hint: "Check user, password and rights; the message names what was refused.",
  },
  APPROVAL_REJECTED: {
    meaning: "Somebody rejected what a stage asked approval for.",
    hint: "Approve it after all with `memento approve`, or cancel the run.",
  },
  CALL_UNANSWERED: {
    meaning: "The answer to a call was lost, and whether the far end did it is not known.",
    hint: "Look there by the call's key, then let the sink's `unanswered` repeat or skip it, and resume.",
  },
  CANCELLED: {
    meaning: "The work was stopped by its signal.",
    hint: "Start it again: a run resumes at its last checkpoint, and nothing else is left half done.",
  },
  CAPABILITY_MISSING: {
    meaning: "The store, sink or source cannot do what was asked.",
    hint: "Choose another one; docs/stores.md says what each supports.",
  },
  CONFLICT: {
    meaning: "The timeline's head is not the one that the save expected.",
    hint: "Load the head again and repeat the save.",
    retryable: true,
  },
  CREDENTIAL_UNAVAILABLE: {
    meaning: "A credential that the pipeline needs could not be acquired.",
    hint: "Provide it where its provider looks, then resume the run.",
  },
  DAMAGED: {
    meaning: "Stored bytes are missing, cut or changed.",
    hint: "Run `memento verify`; it names every affected memento and the nearest good one.",
  },
  DISK_FULL: {
    meaning: "There is no space left where the store or the sink writes.",
    hint: "Free some space and start again; what was acknowledged is safe.",
    retryable: true,
  },
  ENGINE_UNSUITABLE: {
    meaning: "The engine or its version cannot keep what a store promises.",
    hint: "The message names what is missing; docs/stores.md says what each engine needs.",
  },
  EXISTS: {
    meaning: "A live memento of this caretaker has that name and other content.",
    hint: "Choose another name, or move the name by `replace: true` (`--replace`).",
  },
  FENCED: {
    meaning: "Another worker has taken this timeline over; this one may no longer write.",
    hint: "Stop this worker; the other one goes on.",
  },
  FORMAT_UNKNOWN: {
    meaning: "The bytes are of a format version that this release does not know.",
    hint: "Read them with a newer release of Memento.",
  },
  INPUT_CUT: {
    meaning: "An input file ends in the middle of a record.",
    hint: "Fetch the file again and resume the run.",
  },
  INPUT_MISSING: {
    meaning: "An input that the pipeline reads is not there.",
    hint: "Check the path, or bring the file back, and try again; a run goes on where it stood.",
  },
  INVALID_ARGUMENT: {
    meaning: "An argument is not of the form that the call takes.",
    hint: "The message names the argument and what it takes.",
  },
  INVALID_PIPELINE: {
    meaning: "A pipeline's definition contradicts itself.",
    hint: "The message names the stage, source or sink to mend.",
  },
  IO_FAILED: {
    meaning: "The operating system refused to read or write.",
    hint: "The message names the path and the reason.",
    retryable: true,
  },
  KEY_IN_USE: {
    meaning: "A key that is to be revoked still wraps keys of the store.",
    hint: "Look at `memento keys list`; stop processes that still wrap by it, or bring what opens those keys, and try again.",
  },
  KEY_MISSING: {
    meaning: "The store is sealed and no key was given.",
    hint: "Give the key file, or set what the store was sealed by: MEMENTO_KEY, MEMENTO_KEY_FILE, MEMENTO_KEY_URL or MEMENTO_PASSPHRASE.",
  },
  KEY_RETIRED: {
    meaning: "The data key that a pack is sealed with was retired by a secure deletion.",
    hint: "Save again: the next pack is sealed with a fresh key.",
  },
  KEY_SERVICE_FAILED: {
    meaning: "A key-management service did not answer, or refused to use a key.",
    hint: "Check its address, the credentials and their permissions; the message says what it answered.",
    retryable: true,
  },
  KEY_WRONG: {
    meaning: "None of the given keys opens this store.",
    hint: "Give the key that the store was made with.",
  },
  LOCKED: {
    meaning: "Another process holds the timeline, or the engine's own lock.",
    hint: "Wait until it ends, or stop it, and try again.",
    retryable: true,
  },
  NAME_INVALID: {
    meaning: "A name is empty, too long, or has characters that names may not have.",
    hint: "Use 1 to 200 characters without control characters.",
  },
  NODE_TOO_OLD: { meaning: "This Node.js is older than Memento can run on.", hint: "Use Node.js 24 or newer." },
  NOTHING_TO_RESUME: { meaning: "There is no interrupted or paused run to go on with.", hint: "Start a new run." },
  NOT_A_STORE: {
    meaning: "The place does not hold a Memento store.",
    hint: "Check the URL, or make a store there with `memento init`.",
  },
  NOT_FOUND: {
    meaning: "There is no such memento, timeline, caretaker, run or stage.",
    hint: "List what there is with `memento ls`.",
  },
  NOT_REVERTIBLE: {
    meaning: "A part of the plan cannot be reverted.",
    hint: "Force it by name, or choose another target; the plan says why.",
  },
  PARAMS_INVALID: {
    meaning: "The run's parameters do not fit the pipeline's schema.",
    hint: "The message names each parameter and what it takes.",
  },
  PEER_MISSING: {
    meaning: "A package that only this feature needs is not installed.",
    hint: "Install it; the message names the package and the range of versions.",
  },
  PIPELINE_CHANGED: {
    meaning: "An unfinished run does not fit the stages that its pipeline has now.",
    hint: "Finish it with the code of before, go back to a memento that fits, or start anew with --fresh; `memento check` names what does not fit.",
  },
  PIPELINE_MISSING: {
    meaning: "The file exports no pipeline.",
    hint: "Export the result of definePipeline, as default or by name.",
  },
  PLACE_MISSING: {
    meaning: "The database, bucket or container that a URL names does not exist.",
    hint: "Make it, or correct the URL.",
  },
  PLAINTEXT_REFUSED: {
    meaning: "A record that is not sealed was offered to a sealed store.",
    hint: "Open the store with its key.",
  },
  PLAN_MOVED: {
    meaning: "The world has changed since the plan was made.",
    hint: "Make the plan again and look at what moved.",
  },
  PORT_UNKNOWN: {
    meaning: "No driver knows this kind of store URL.",
    hint: "Use one of the URLs of docs/stores.md, or hand in a store of your own.",
  },
  RECORD_INVALID: {
    meaning: "A record does not fit its schema.",
    hint: "Mend the input, or let the stage quarantine such records.",
  },
  RUN_PENDING: {
    meaning: "An interrupted run with other parameters stands on this timeline.",
    hint: "Resume it, or start anew with fresh: true.",
  },
  SCHEMA_MISMATCH: {
    meaning: "What a stage was given, or gave, does not fit its schema.",
    hint: "The message names the stage and the path inside the value; mend the stage before it, or this one.",
  },
  SCHEMA_UNREADABLE: {
    meaning: "A memento holds a value of a schema version that the code has no way from.",
    hint: "Add the upcaster (or, for code that was put back, the downcaster) that the message names; `memento check` lists all mementos that need one.",
  },
  SIGNER_UNTRUSTED: {
    meaning: "A portable file is signed by another key than the trusted ones.",
    hint: "Ask whoever exported it for the fingerprint, or fetch the file again.",
  },
  SINK_MOVED: {
    meaning: "What a run has written is not where its sink points to.",
    hint: "Bring back what was there. If it is lost: roll back to before the run with `--force SINK`, and run again.",
  },
  SOURCE_FAILED: {
    meaning: "The code of a source of one's own threw.",
    hint: "Mend the cause and resume; the records before it are taken.",
  },
  SOURCE_MOVED: {
    meaning: "A source no longer holds what the offsets point into.",
    hint: "Bring the old input back, or roll back to before it was read.",
  },
  SOURCE_RANGE_GONE: {
    meaning: "A source no longer has the records from the wanted offset on.",
    hint: "Roll back to a memento whose offsets the source still has.",
  },
  STAGE_FAILED: {
    meaning: "A stage's own code threw.",
    hint: "Mend the cause and run again; done stages are skipped.",
  },
  STAGE_TIMEOUT: {
    meaning: "A stage took longer than it may, or was silent for too long.",
    hint: "Give it more time, let it call heartbeat(), or let it be tried again by `retry`.",
    retryable: true,
  },
  STATE_CONFLICT: {
    meaning: "Two stages that ran at once changed the same key of the state differently.",
    hint: "Let one come after the other, or let each keep a key of its own.",
  },
  STORE_CLOSED: { meaning: "The store was closed before the call.", hint: "Open it again." },
  STORE_UNREACHABLE: {
    meaning: "The engine could not be reached, or its answer was lost.",
    hint: "Check that it runs and that its address is right; what was acknowledged is safe.",
    retryable: true,
  },
  TOO_MANY_INVALID: {
    meaning: "More records failed their schema than the stage allows.",
    hint: "Look at the quarantined records, mend the input, resume.",
  },
  TRIMMED: {
    meaning: "What is needed to revert to that point was trimmed.",
    hint: "Choose a younger target; the plan names the oldest one left.",
  },
  UNSUPPORTED_VALUE: {
    meaning: "A value cannot be kept: a function, a class instance, a symbol or a cycle.",
    hint: "Keep plain data; the message names the path inside the value.",
  },
} as const satisfies Record<string, ErrorRow>;

/** A stable error code. */
export type ErrorCode = keyof typeof ERROR_CATALOGUE;

/** What goes with an error besides its code and message. Never holds secrets or record contents. */
export interface ErrorOptions {
  readonly cause?: unknown;
  /** Small machine-readable facts: ids, paths, counts. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Replaces the catalogue's hint where the place knows a better way out. */
  readonly hint?: string;
}

/** The only error class that Memento throws; tell cases apart by `code`. */
export class MementoError extends Error {
  override readonly name = "MementoError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string;
  readonly retryable: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    const row: ErrorRow = ERROR_CATALOGUE[code];
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint ?? row.hint;
    this.retryable = row.retryable ?? false;
  }
}

/** True when `error` is a MementoError, and of `code` where one is given. Works across copies of the library. */
export function isMementoError(error: unknown, code?: ErrorCode): error is MementoError {
  if (!(error instanceof Error) || error.name !== "MementoError" || !("code" in error)) return false;
  return code === undefined || error.code === code;
}
