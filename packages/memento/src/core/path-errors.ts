import { MementoError } from "./errors.ts";

/** The error for a file that the system did not let be read: INPUT_MISSING where there is none, else IO_FAILED; a folder is said to be one. */
export function unreadableFile(file: string, cause: unknown): MementoError {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
  const options = { cause, details: { path: file } };
  if (reason === "ENOENT" || reason === "ENOTDIR")
    return new MementoError("INPUT_MISSING", `There is no file ${file}`, { ...options, hint: "Check the path." });
  if (reason === "EISDIR")
    return new MementoError("IO_FAILED", `${file} is a folder, and not a file`, {
      ...options,
      hint: "Name a file in it.",
    });
  return new MementoError("IO_FAILED", `The file ${file} cannot be read (${reason})`, options);
}

/** The error for a place to write to whose folder is not there. IO_FAILED. */
export function missingFolder(folder: string, cause: unknown): MementoError {
  return new MementoError("IO_FAILED", `There is no folder ${folder}`, {
    cause,
    details: { path: folder },
    hint: "Make it first, or correct the path.",
  });
}
