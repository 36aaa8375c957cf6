import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";

/** What the first word of a server's refusal means; the text tells where the word does not. */
const REPLIES: readonly (readonly [pattern: RegExp, code: ErrorCode, reason: string])[] = [
  [/^(NOAUTH|WRONGPASS)|invalid password/i, "ACCESS_DENIED", "user or password was refused"],
  [
    /^NOPERM|user executing the script can't|can't access at least one of the keys/i,
    "ACCESS_DENIED",
    "the account may not do this",
  ],
  [/^OOM|used memory > 'maxmemory'/, "DISK_FULL", "the server has no memory left for more"],
  [/^LOADING/, "STORE_UNREACHABLE", "the server is still loading its data"],
  [
    /^READONLY|read only replica/,
    "STORE_UNREACHABLE",
    "the server is a replica and takes no writes: another one has taken over",
  ],
  [
    /^(CLUSTERDOWN|TRYAGAIN|MOVED|ASK) |Too many Cluster redirections|non local key/,
    "STORE_UNREACHABLE",
    "the cluster is moving the store's slot, or has lost it",
  ],
  [/^(MASTERDOWN|NOREPLICAS|BUSY|UNBLOCKED)/, "STORE_UNREACHABLE", "the server takes no writes at the moment"],
  [/^MISCONF|No space left/, "DISK_FULL", "the server cannot write to its disk"],
  [/DB index is out of range|SELECT is not allowed/, "PLACE_MISSING", "there is no database of this number"],
  [/^WRONGTYPE/, "DAMAGED", "a key of the store is of another type"],
  [
    /unknown command|Unknown Redis command/i,
    "ENGINE_UNSUITABLE",
    "the server does not know a command that the store needs",
  ],
];

/** What the client says when there was no answer. */
const CLIENT =
  /Connection is closed|Command timed out|isn't writeable|Reached the max retries|None of startup nodes|Failed to refresh slots|Cluster is ended|Connection is aborted|Command aborted|isn't ready|connect E?TIMEDOUT/i;

/** The system's codes of a connection that failed, and those of TLS: a certificate that is not trusted, a server that does not speak it. */
const SYSTEM = /^E[A-Z_]+$|CERT|^UNABLE_TO|^ERR_(?:TLS|SSL)/;

/** Says in our words what the client threw; passes our own errors through. `where` is the store's URL without secrets. */
export function failureOf(error: unknown, where: string): MementoError {
  if (isMementoError(error)) return error;
  if (!(error instanceof Error)) throw error;
  const details = { store: where };
  for (const [pattern, code, reason] of REPLIES) {
    if (pattern.test(error.message)) {
      return new MementoError(code, `${where}: ${reason} (${shown(error)})`, { cause: bare(error), details });
    }
  }
  const systemCode = "code" in error && typeof error.code === "string" ? error.code : "";
  if (CLIENT.test(error.message) || SYSTEM.test(systemCode) || error.name === "ClusterAllFailedError") {
    const reason = `${where}: it could not be reached, or its answer was lost (${shown(error)})`;
    return new MementoError("STORE_UNREACHABLE", reason, { cause: bare(error), details });
  }
  if (error.name === "ReplyError") {
    return new MementoError("IO_FAILED", `${where}: the server refused (${shown(error)})`, {
      cause: bare(error),
      details,
    });
  }
  // What is no refusal is a fault of the program: it keeps its own name and stack.
  throw error;
}

const shown = ({ message }: Error): string => message.slice(0, 300);

/** The client's errors carry the command with all that was sent, the password of AUTH too: only name and message go on. */
function bare(error: Error): Error {
  const { name, message, stack } = error;
  const copy = new Error(message);
  copy.name = name;
  if (stack !== undefined) copy.stack = stack;
  return copy;
}

/** The error of stored bytes that cannot be. */
export function damaged(problem: string): MementoError {
  return new MementoError("DAMAGED", problem);
}
