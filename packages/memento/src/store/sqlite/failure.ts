import { accessSync, constants } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";

import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";
import { isDiskFull, missingFolder, systemCode } from "../../core/path-errors.ts";

/** SQLite's primary result codes, as far as each has a meaning of its own here. */
const CODES: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  // Every statement is fixed: a database on which one does not compile is not what was written.
  1: ["DAMAGED", "its tables are not those of a store"],
  3: ["IO_FAILED", "permission denied"],
  5: ["LOCKED", "another process holds the database's lock"],
  6: ["LOCKED", "another statement holds a table's lock"],
  7: ["IO_FAILED", "out of memory"],
  8: ["IO_FAILED", "it is read-only"],
  10: ["IO_FAILED", "the disk refused to read or write"],
  11: ["DAMAGED", "its pages contradict each other"],
  13: ["DISK_FULL", "there is no space left"],
  14: ["IO_FAILED", "it cannot be opened"],
  15: ["LOCKED", "another process holds the database's lock"],
  19: ["DAMAGED", "a row breaks a rule of its table"],
  20: ["DAMAGED", "a value is of another type than its column"],
  26: ["DAMAGED", "it does not read as a database"],
};

/** What SQLite says of pages that it cannot read. */
const BROKEN_PAGES: ReadonlySet<number> = new Set([11, 26]);

/** The way out for them. */
const TAKE_OUT =
  "A repair cannot mend a database's pages. `memento copy` and `memento backup` take out what can still be read, into a new place.";

/** What SQLite says where it may not write: read-only, cannot be opened. */
const CANNOT_WRITE: ReadonlySet<number> = new Set([8, 14]);

/** Why a database's folder or file cannot be written, where the system says so; also to read it, SQLite writes beside it. */
function refusedFolder(path: string): MementoError | null {
  for (const place of [dirname(path), path]) {
    try {
      accessSync(place, constants.W_OK);
    } catch (cause) {
      const code = systemCode(cause) ?? "";
      const why = code === "EROFS" ? "its file system is mounted read-only" : "this user may not write there";
      if (code !== "EROFS" && code !== "EACCES" && code !== "EPERM") continue;
      return new MementoError("IO_FAILED", `${path}: ${place} cannot be written: ${why} (${code})`, {
        cause,
        hint: "SQLite writes beside a database even to read it: make the folder writable, or copy the store's files and its key to one that is.",
        details: { path, reason: code },
      });
    }
  }
  return null;
}

/** Looks for the folder that a database is to be in. IO_FAILED. */
export async function demandFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((error: unknown) => {
    throw systemCode(error) === "ENOENT" ? missingFolder(folder, error) : failureOf(error, folder);
  });
  if (!found.isDirectory())
    throw new MementoError("IO_FAILED", `${folder} is no folder`, { details: { path: folder } });
}

/** Says in our words what `node:sqlite` or the file system threw; passes our own errors through. */
export function failureOf(error: unknown, path: string): MementoError {
  if (isMementoError(error)) return error;
  const { code, errcode, message } = (error instanceof Error ? error : new Error(String(error))) as Error & {
    readonly code?: string;
    readonly errcode?: number;
  };
  if (code === "ERR_SQLITE_ERROR" && errcode !== undefined) {
    const refused = CANNOT_WRITE.has(errcode & 0xff) ? refusedFolder(path) : null;
    if (refused !== null) return refused;
    const [ours, reason] = CODES[errcode & 0xff] ?? ["IO_FAILED", "SQLite refused"];
    return new MementoError(ours, `${path}: ${reason} (${message})`, {
      cause: error,
      details: { path, sqlite: errcode },
      ...(BROKEN_PAGES.has(errcode & 0xff) ? { hint: TAKE_OUT } : {}),
    });
  }
  if (code === "ERR_OUT_OF_RANGE") {
    return new MementoError("DAMAGED", `${path}: a number is out of range`, { cause: error, details: { path } });
  }
  // What is not the system's refusal is a fault of the program: it keeps its own name and stack.
  if (code === undefined || code.startsWith("ERR_")) throw error;
  if (code === "EISDIR")
    return new MementoError("IO_FAILED", `${path} is a folder, and no SQLite database`, {
      cause: error,
      details: { path },
      hint: "Name a file in it; a store that is a folder is named by file:PATH.",
    });
  // SQLITE_FULL comes as SQLITE_IOERR_WRITE where the file system's quota ends; then the system's own code tells.
  const ours = isDiskFull(error) ? "DISK_FULL" : "IO_FAILED";
  return new MementoError(ours, `${path}: ${message}`, { cause: error, details: { path, reason: code } });
}
