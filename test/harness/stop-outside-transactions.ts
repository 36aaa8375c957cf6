import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 60_000;
const PAUSE_MS = 50;

/**
 * Stops a process by SIGSTOP at a moment in which it holds no write lock of this SQLite database: stopped inside a transaction,
 * it would keep everybody else out of the whole store, and not only of what its lease is for.
 */
export async function stopOutsideTransactions(file: string, signal: (name: NodeJS.Signals) => void): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    signal("SIGSTOP");
    // The signal takes effect when the process is next about to run: a short commit may still end.
    await sleep(PAUSE_MS);
    if (isUnlocked(file)) return;
    signal("SIGCONT");
    await sleep(PAUSE_MS);
  }
  throw new Error(`${file} was locked at each of many moments`);
}

function isUnlocked(file: string): boolean {
  using database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec("BEGIN IMMEDIATE; ROLLBACK");
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("locked")) return false;
    throw error;
  }
}
