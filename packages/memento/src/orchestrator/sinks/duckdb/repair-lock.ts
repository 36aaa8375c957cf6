import { existsSync, rmSync, statSync } from "node:fs";

import { MementoError } from "../../../core/errors.ts";
import type { DuckdbConnection } from "./engine.ts";
import { refuseOwnHandle } from "./handles.ts";
import { quoteText } from "./names.ts";
import { makeFile } from "./place.ts";

/**
 * Runs `work` while no other process does so for the same database; LOCKED, or DuckDB's own error, where one does. What keeps them
 * apart is DuckDB's lock on a small file of its own: the system takes it from a process that dies, and leaves it to one that is stopped.
 */
export async function withRepairLock(path: string, admin: DuckdbConnection, work: () => Promise<void>): Promise<void> {
  const lock = `${path}.memento-repair`;
  refuseOwnHandle(lock);
  if (!existsSync(lock)) await makeFile(lock, admin);
  const found = fileNumber(lock);
  await admin.run(`ATTACH ${quoteText(lock)} AS memento_repair`);
  try {
    // Who had the lock before has taken the file away since it was opened here: others no longer see it.
    if (fileNumber(lock) !== found) {
      throw new MementoError("LOCKED", `${path} is being mended by another process`, { details: { path } });
    }
    try {
      await work();
    } finally {
      rmSync(lock, { force: true });
    }
  } finally {
    await admin.run("DETACH memento_repair");
  }
}

/** Another one for each file that has the path in turn; undefined where none has. */
function fileNumber(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}
