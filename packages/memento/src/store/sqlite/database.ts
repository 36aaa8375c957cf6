import type { DatabaseSync } from "node:sqlite";

import { MementoError } from "../../core/errors.ts";
import { SameFile } from "./same-file.ts";

/** Below this a lock is waited for inside SQLite; above it by the connection, while the event loop goes on. */
const SYNCHRONOUS_WAIT_MS = 5;
/**
 * The pages of a new database. Small saves write parts of several tables, each of them a page, and bodies leave a page half
 * empty. Side by side at 1024, 2048 and 4096 bytes: one run of small stages 365, 348, 370 us a stage, 64 runs at once 70, 64,
 * 70 us, 50 saves of 1 MB that changes 490, 535, 557 KB; the price is 14.2, 13.8, 12.0 ms for a save of 1 MB that does not compress.
 */
export const PAGE_BYTES = 1_024;
/**
 * A log of so many bytes is moved into the database, and from then on written over from its start. While a log grows, each
 * commit also makes the file system find room, which costs more than the checkpoints do. Small appends on ext4, side by
 * side in one run, at 1, 2, 4 and 16 MB: mean 250, 237, 251, 294 us over the first 3000, and median 233, 235, 211, 371 us over
 * the first 1000.
 */
const LOG_BYTES = 2_048_000;

/** A database, and the file that it was opened from. */
export interface OpenDatabase {
  readonly database: DatabaseSync;
  readonly file: SameFile;
}

/** Opens or makes the file. NODE_TOO_OLD without `node:sqlite`. */
export function openDatabase(path: string): OpenDatabase {
  const sqlite = process.getBuiltinModule("node:sqlite");
  if (sqlite === undefined) throw new MementoError("NODE_TOO_OLD", "This Node.js has no SQLite of its own");
  const open = (): DatabaseSync => new sqlite.DatabaseSync(path, { timeout: SYNCHRONOUS_WAIT_MS });
  const { opened, file } = SameFile.open(path, open, (database) => database.close());
  return { database: opened, file };
}

/** The modes that a store is used in; they write to the file. */
export function setModes(database: DatabaseSync): void {
  // FULL: a commit is on the disk before it is acknowledged, in WAL mode too.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON");
  const pageBytes = Number(database.prepare("PRAGMA page_size").get()?.["page_size"] ?? PAGE_BYTES);
  database.exec(`PRAGMA wal_autocheckpoint = ${Math.ceil(LOG_BYTES / pageBytes)}`);
}

/** Reads several things as they are at one moment, whatever others write meanwhile. */
export function atOneMoment<T>(database: DatabaseSync, read: () => T): T {
  database.exec("BEGIN");
  try {
    return read();
  } finally {
    if (database.isTransaction) database.exec("COMMIT");
  }
}

/** Does it in a transaction that no other writer is in: all of it, or nothing. */
export function transact(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
