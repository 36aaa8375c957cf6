import type { ErrorCode } from "@mementojs/memento";

/** How a command ends, for scripts. */
export const EXIT = { done: 0, failed: 1, usage: 2, damaged: 3, refused: 4 } as const;

/** How a command ends whose output nobody reads any more, before it is done: as a shell says it of SIGPIPE. */
export const EXIT_UNREAD = 141;

/** One sentence for each exit code; help texts show those that a command can end with. */
export const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  [EXIT.done]: "done",
  [EXIT.failed]: "failed",
  [EXIT.usage]: "the command line is wrong",
  [EXIT.damaged]: "damage was found",
  [EXIT.refused]: "refused: the plan moved, the timeline is held, or something cannot be reverted",
  130: "interrupted by Ctrl-C",
  143: "stopped by SIGTERM",
};

/** Total over the catalogue: a new error code does not compile until it has an exit code. */
const BY_ERROR = {
  ACCESS_DENIED: EXIT.failed,
  APPROVAL_REJECTED: EXIT.failed,
  CALL_UNANSWERED: EXIT.refused,
  CANCELLED: EXIT.failed,
  CAPABILITY_MISSING: EXIT.failed,
  CONFLICT: EXIT.refused,
  CREDENTIAL_UNAVAILABLE: EXIT.failed,
  DAMAGED: EXIT.damaged,
  DISK_FULL: EXIT.failed,
  ENGINE_UNSUITABLE: EXIT.failed,
  EXISTS: EXIT.failed,
  FENCED: EXIT.refused,
  FORMAT_UNKNOWN: EXIT.failed,
  INPUT_CUT: EXIT.failed,
  INPUT_MISSING: EXIT.failed,
  INVALID_ARGUMENT: EXIT.usage,
  INVALID_PIPELINE: EXIT.usage,
  IO_FAILED: EXIT.failed,
  KEY_IN_USE: EXIT.refused,
  KEY_MISSING: EXIT.failed,
  KEY_RETIRED: EXIT.failed,
  KEY_SERVICE_FAILED: EXIT.failed,
  KEY_WRONG: EXIT.failed,
  LOCKED: EXIT.refused,
  NAME_INVALID: EXIT.usage,
  NODE_TOO_OLD: EXIT.failed,
  NOTHING_TO_RESUME: EXIT.failed,
  NOT_FOUND: EXIT.failed,
  NOT_A_STORE: EXIT.failed,
  NOT_REVERTIBLE: EXIT.refused,
  PARAMS_INVALID: EXIT.usage,
  PEER_MISSING: EXIT.failed,
  PIPELINE_CHANGED: EXIT.refused,
  PIPELINE_MISSING: EXIT.usage,
  PLACE_MISSING: EXIT.failed,
  PLAINTEXT_REFUSED: EXIT.failed,
  PLAN_MOVED: EXIT.refused,
  PORT_UNKNOWN: EXIT.usage,
  RECORD_INVALID: EXIT.failed,
  RUN_PENDING: EXIT.refused,
  SCHEMA_MISMATCH: EXIT.failed,
  SCHEMA_UNREADABLE: EXIT.refused,
  SIGNER_UNTRUSTED: EXIT.refused,
  SINK_MOVED: EXIT.failed,
  SOURCE_FAILED: EXIT.failed,
  SOURCE_MOVED: EXIT.failed,
  SOURCE_RANGE_GONE: EXIT.failed,
  STAGE_FAILED: EXIT.failed,
  STAGE_TIMEOUT: EXIT.failed,
  STATE_CONFLICT: EXIT.failed,
  STORE_CLOSED: EXIT.failed,
  STORE_UNREACHABLE: EXIT.failed,
  TOO_MANY_INVALID: EXIT.failed,
  TRIMMED: EXIT.failed,
  UNSUPPORTED_VALUE: EXIT.failed,
} as const satisfies Record<ErrorCode, number>;

/** The exit code for an error code; a code of a newer library is a failure. */
export function exitCodeOf(code: string): number {
  return Object.hasOwn(BY_ERROR, code) ? BY_ERROR[code as ErrorCode] : EXIT.failed;
}
