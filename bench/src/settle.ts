import { execFileSync } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/**
 * Between two turns: frees what the last one left in memory and writes out what it left in the disk's cache, so that nobody
 * pays for another's garbage or unsynced pages.
 */
export function settle(folder: string): void {
  collectGarbage();
  execFileSync("sync", ["-f", folder]);
}
