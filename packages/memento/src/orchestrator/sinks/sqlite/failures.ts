import { MementoError, type ErrorCode } from "../../../core/errors.ts";

/** An error as `node:sqlite` throws it. */
interface SqliteError extends Error {
  /** SQLite's extended result code; the primary one is its lowest byte. */
  readonly errcode: number;
  readonly errstr: string;
}

const BUSY = 5;
const LOCKED = 6;
const READ_ONLY = 8;
const IO_ERROR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANNOT_OPEN = 14;
const TOO_BIG = 18;
const CONSTRAINT = 19;
const MISMATCH = 20;
const NOT_A_DATABASE = 26;
/** SQLITE_IOERR_SHMSIZE: the shared memory file could not grow, which is what a full disk looks like in WAL mode. */
const SHARED_MEMORY_SIZE = IO_ERROR | (19 << 8);

function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number";
}

function primaryCode(error: unknown): number | null {
  return isSqliteError(error) ? error.errcode & 0xff : null;
}

/** True where another connection holds the lock that was wanted. */
export function isBusy(error: unknown): boolean {
  const code = primaryCode(error);
  return code === BUSY || code === LOCKED;
}

/** True where the data itself was refused: a constraint, a strict type, a value that is too big. */
export function isRefusedData(error: unknown): boolean {
  const code = primaryCode(error);
  return code === CONSTRAINT || code === MISMATCH || code === TOO_BIG;
}

/** What SQLite said of refused data: names of tables, columns and constraints, never values. */
export function refusalOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: SqliteError): ErrorCode {
  if (error.errcode === SHARED_MEMORY_SIZE) return "DISK_FULL";
  switch (error.errcode & 0xff) {
    case BUSY:
    case LOCKED:
      return "LOCKED";
    case FULL:
      return "DISK_FULL";
    case CORRUPT:
    case NOT_A_DATABASE:
      return "DAMAGED";
    default:
      return "IO_FAILED";
  }
}

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  LOCKED: "is locked by another process",
  DISK_FULL: "could not grow: its disk is full",
  DAMAGED: "is damaged, or is not a SQLite database",
};

/**
 * What a SQLite error means here: LOCKED, DISK_FULL, DAMAGED or IO_FAILED, naming the file. Refused data becomes
 * `refused`. Anything that is not SQLite's is returned as it is.
 */
export function sqliteFailure(error: unknown, path: string, refused: ErrorCode): unknown {
  if (!isSqliteError(error)) return error;
  const details = { path, sqlite: error.errcode };
  if (isRefusedData(error)) {
    return new MementoError(refused, `${path}: ${refusalOf(error)}`, { cause: error, details });
  }
  const code = codeOf(error);
  const primary = error.errcode & 0xff;
  const place = primary === READ_ONLY || primary === CANNOT_OPEN ? "may not be opened or written" : "was refused";
  return new MementoError(code, `${path} ${SENTENCES[code] ?? place}: ${error.message}`, { cause: error, details });
}
