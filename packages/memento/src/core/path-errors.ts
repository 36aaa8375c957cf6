import { dirname } from "node:path";

import { MementoError } from "./errors.ts";

/** The code of a system error, as "ENOSPC"; undefined for what has none. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** True where a system error says that no space is left, or that a quota is used up. */
export function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOSPC" || code === "EDQUOT";
}

/** The error for a file that the system did not let be read: INPUT_MISSING where there is none, else IO_FAILED; a folder is said to be one. */
export function unreadableFile(file: string, cause: unknown): MementoError {
  const code = systemCode(cause);
  if (code === "ENOENT" || code === "ENOTDIR") {
    const options = { cause, details: { path: file }, hint: "Check the path." };
    return new MementoError("INPUT_MISSING", `There is no file ${file}`, options);
  }
  return code === "EISDIR" ? folderForFile(file, cause) : refused(file, "read", cause);
}

/** The error for a file that the system did not let be written: DISK_FULL, else IO_FAILED; a folder in its place, or none to put it into, is said. */
export function unwritableFile(file: string, cause: unknown): MementoError {
  if (isDiskFull(cause)) {
    return new MementoError("DISK_FULL", `There is no space left for the file ${file}`, {
      cause,
      details: { path: file },
    });
  }
  const code = systemCode(cause);
  if (code === "ENOENT") return missingFolder(dirname(file), cause);
  return code === "EISDIR" ? folderForFile(file, cause) : refused(file, "written", cause);
}

/** The error for a place to write to whose folder is not there. IO_FAILED. */
export function missingFolder(folder: string, cause: unknown): MementoError {
  return new MementoError("IO_FAILED", `There is no folder ${folder}`, {
    cause,
    details: { path: folder },
    hint: "Make it first, or correct the path.",
  });
}

/** The error for a folder in the place of a file. IO_FAILED. */
export function folderForFile(file: string, cause: unknown): MementoError {
  const options = { cause, details: { path: file }, hint: "Name a file in it." };
  return new MementoError("IO_FAILED", `${file} is a folder, and not a file`, options);
}

/** The error for a device, a pipe or a socket where a file is to be replaced: it would be gone, and nobody could write to it any more. IO_FAILED. */
export function deviceForFile(file: string): MementoError {
  return new MementoError("IO_FAILED", `${file} is a device, a pipe or a socket, and is replaced by no file`, {
    details: { path: file },
    hint: "Name a file; where standard output is meant, `-` stands for it.",
  });
}

function refused(file: string, what: "read" | "written", cause: unknown): MementoError {
  const reason = systemCode(cause) ?? "unknown reason";
  return new MementoError("IO_FAILED", `The file ${file} cannot be ${what} (${reason})`, {
    cause,
    details: { path: file },
  });
}
