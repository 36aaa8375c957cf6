import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

import { MementoError } from "../../../core/errors.ts";
import { systemCode } from "../../../core/path-errors.ts";

/** DuckDB's lock does not keep out the process that holds it; where the system tells, somebody else's handle in it is seen. */
export function refuseOwnHandle(path: string): void {
  const handles = "/proc/self/fd";
  if (!existsSync(handles)) return;
  const isOpen = readdirSync(handles).some((handle) => linkOf(join(handles, handle)) === path);
  if (!isOpen) return;
  throw new MementoError("LOCKED", `${path} is open in this process already, past the sink`, {
    details: { path },
    hint: "Close it, or hand its instance to duckdbTable as `instance`.",
  });
}

function linkOf(handle: string): string | null {
  try {
    return readlinkSync(handle);
  } catch (error) {
    // A handle that was closed meanwhile, the one of this listing among them.
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  }
}
