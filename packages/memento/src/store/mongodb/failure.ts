import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";

/** The server's error codes, as far as each has a meaning of its own here. */
const CODES: Readonly<Record<number, ErrorCode>> = {
  13: "ACCESS_DENIED",
  18: "ACCESS_DENIED",
  8_000: "ACCESS_DENIED",
  // The server took too long, was interrupted, or is no primary any more.
  50: "STORE_UNREACHABLE",
  64: "STORE_UNREACHABLE",
  89: "STORE_UNREACHABLE",
  91: "STORE_UNREACHABLE",
  189: "STORE_UNREACHABLE",
  262: "STORE_UNREACHABLE",
  10_107: "STORE_UNREACHABLE",
  11_600: "STORE_UNREACHABLE",
  11_602: "STORE_UNREACHABLE",
  13_435: "STORE_UNREACHABLE",
  13_436: "STORE_UNREACHABLE",
  112: "LOCKED",
  251: "LOCKED",
  14_031: "DISK_FULL",
  10_334: "CAPABILITY_MISSING",
};

const NAMES: Readonly<Record<string, ErrorCode>> = {
  MongoCompatibilityError: "ENGINE_UNSUITABLE",
  MongoMissingDependencyError: "PEER_MISSING",
  MongoParseError: "INVALID_ARGUMENT",
  MongoInvalidArgumentError: "INVALID_ARGUMENT",
  MongoNetworkError: "STORE_UNREACHABLE",
  MongoNetworkTimeoutError: "STORE_UNREACHABLE",
  MongoServerSelectionError: "STORE_UNREACHABLE",
  MongoServerClosedError: "STORE_UNREACHABLE",
  MongoTopologyClosedError: "STORE_UNREACHABLE",
  MongoNotConnectedError: "STORE_UNREACHABLE",
  MongoClientClosedError: "STORE_UNREACHABLE",
  MongoPoolClearedError: "STORE_UNREACHABLE",
  PoolClearedError: "STORE_UNREACHABLE",
  PoolClosedError: "STORE_UNREACHABLE",
  PoolClearedOnNetworkError: "STORE_UNREACHABLE",
  WaitQueueTimeoutError: "STORE_UNREACHABLE",
};

const REASONS: Partial<Record<ErrorCode, string>> = {
  ACCESS_DENIED: "the server refused the account, or what it may do",
  ENGINE_UNSUITABLE: "the server is not one that the driver can talk to",
  LOCKED: "another client's transaction is in the way",
  DISK_FULL: "the server has no space left",
};

/** What the driver throws, as far as it is looked at. */
export interface DriverError extends Error {
  readonly code?: number | string;
  readonly hasErrorLabel?: (label: string) => boolean;
}

/** True for what the `mongodb` package itself throws. */
export function isDriverError(error: unknown): error is DriverError {
  return error instanceof Error && (/^(?:Mongo|Pool|WaitQueue)/u.test(error.name) || "errorLabels" in error);
}

/** True for a name that could not be looked up: of `mongodb+srv:`, before the driver has anything to say. */
const isLookup = (error: unknown): error is Error =>
  error instanceof Error && "syscall" in error && /^query(?:Srv|Txt)$/u.test(String(error.syscall));

/** True for a duplicate key: somebody else has that `_id`. */
export const isDuplicate = (error: unknown): boolean => isDriverError(error) && error.code === 11_000;

/** True where another writer was there first, and the session is as good as before. */
export const isConflict = (error: unknown): boolean =>
  isDriverError(error) && (error.code === 11_000 || error.code === 112);

/** True when the driver says that the transaction did not take place, and may be tried again. */
export function isTransient(error: unknown): boolean {
  return isDriverError(error) && (error.hasErrorLabel?.("TransientTransactionError") === true || error.code === 112);
}

/** Says in our words what the driver threw; passes our own errors through. `where` is the store's URL without secrets. */
export function failureOf(error: unknown, where: string): MementoError {
  if (isMementoError(error)) return error;
  if (isLookup(error))
    return new MementoError("STORE_UNREACHABLE", `${where}: ${error.message}`, {
      cause: error,
      details: { url: where },
    });
  // What is not the driver's is a fault of the program: it keeps its own name and stack.
  if (!isDriverError(error)) throw error;
  const code = codeOf(error);
  const reason = REASONS[code];
  const message = reason === undefined ? error.message : `${reason} (${error.message})`;
  return new MementoError(code, `${where}: ${message}`, {
    cause: error,
    details: { url: where, reason: error.name, ...(error.code === undefined ? {} : { server: error.code }) },
  });
}

function codeOf(error: DriverError): ErrorCode {
  const byNumber = typeof error.code === "number" ? CODES[error.code] : undefined;
  if (byNumber !== undefined) return byNumber;
  // What a server is too old for is told while one is chosen, inside the error of the choice.
  const text = `${error.message} ${error.cause instanceof Error ? error.cause.message : ""}`;
  if (/wire version/iu.test(text)) return "ENGINE_UNSUITABLE";
  if (/authentication failed|auth failed/iu.test(text)) return "ACCESS_DENIED";
  const byName = NAMES[error.name];
  if (byName !== undefined) return byName;
  const label = (name: string): boolean => error.hasErrorLabel?.(name) === true;
  return label("RetryableWriteError") || label("RetryableError") ? "STORE_UNREACHABLE" : "IO_FAILED";
}
