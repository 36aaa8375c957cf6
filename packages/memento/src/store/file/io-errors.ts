import { MementoError, type ErrorCode } from "../../core/errors.ts";
import { isDiskFull, systemCode } from "../../core/path-errors.ts";

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "not permitted",
  EROFS: "the file system is read-only",
  EIO: "the device failed",
  ENOSPC: "no space left",
  EDQUOT: "the quota is used up",
  ENOTDIR: "a part of the path is a file, not a folder",
  ENOENT: "it, or its folder, is gone",
  EMFILE: "too many open files",
};

/** Turns a system error into DISK_FULL, NOT_A_STORE, CAPABILITY_MISSING or IO_FAILED, naming path and reason. Passes anything else on. */
export function ioError(error: unknown, doing: string, path: string): unknown {
  const system = systemCode(error);
  if (system === undefined || error instanceof MementoError) return error;
  const reason = REASONS[system] ?? system;
  return new MementoError(codeOf(error, system, doing), `Could not ${doing} ${path}: ${reason}`, {
    cause: error,
    details: { path, reason: system },
  });
}

function codeOf(error: unknown, system: string, doing: string): ErrorCode {
  if (isDiskFull(error)) return "DISK_FULL";
  if (system === "ENOTDIR") return "NOT_A_STORE";
  const noLinks = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(system);
  return doing === "link" && noLinks ? "CAPABILITY_MISSING" : "IO_FAILED";
}
