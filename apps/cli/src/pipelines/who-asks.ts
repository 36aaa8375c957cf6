import { hostname, userInfo } from "node:os";
import process from "node:process";

/** The user and the machine, for what is kept of who asked. */
export function whoAsks(): string {
  try {
    return `${userInfo().username}@${hostname()}`;
  } catch (error) {
    // A user id without an entry in the system's list of users has no name.
    if (!(error instanceof Error && "code" in error && error.code === "ERR_SYSTEM_ERROR")) throw error;
    return `uid ${process.getuid?.() ?? "unknown"}@${hostname()}`;
  }
}
