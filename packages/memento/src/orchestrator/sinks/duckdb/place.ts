import { existsSync, linkSync, realpathSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import process from "node:process";

import { MementoError } from "../../../core/errors.ts";
import { systemCode } from "../../../core/path-errors.ts";
import type { DuckdbConnection } from "./engine.ts";
import { quoteText } from "./names.ts";

/** Where the file is, by one name however it is spelt. */
export function placeOf(path: string): string {
  const full = resolve(path);
  if (existsSync(full)) return realpathSync(full);
  return existsSync(dirname(full)) ? join(realpathSync(dirname(full)), basename(full)) : full;
}

/**
 * Makes an empty database under another name, and puts it into its place whole: DuckDB writes a new file in steps, and opens none
 * that was killed between two of them. One that somebody else has put there meanwhile is taken.
 */
export async function makeFile(path: string, admin: DuckdbConnection): Promise<void> {
  const made = `${path}.new-${process.pid}`;
  rmSync(made, { force: true });
  await admin.run(`ATTACH ${quoteText(made)} AS memento_new`);
  await admin.run("DETACH memento_new");
  try {
    linkSync(made, path);
  } catch (cause) {
    if (systemCode(cause) !== "EEXIST") {
      throw new MementoError("IO_FAILED", `${path} could not be made: ${String(cause)}`, { cause, details: { path } });
    }
  } finally {
    rmSync(made, { force: true });
  }
}
