// The floor under every SQLite store: node:sqlite, WAL, synchronous=FULL (an fsync for each commit), one prepared
// INSERT of 300 bytes into a table without any index, each in a transaction of its own. Same folder as Memento's store.
// The file is opened once and kept for the whole run, like every other engine's store.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

const PAYLOAD_BYTES = 300;

export interface BareSqlite extends Disposable {
  /** Commits that many single inserts, one after the other. */
  commit(count: number): void;
}

/** Opens a new database file in the folder. */
export function openBareSqlite(folder: string): BareSqlite {
  const database = new DatabaseSync(join(folder, "bare.db"));
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (body BLOB)");
  const insert = database.prepare("INSERT INTO bare (body) VALUES (?)");
  const body = randomBytes(PAYLOAD_BYTES);
  return {
    commit: (count) => {
      for (let i = 0; i < count; i++) insert.run(body);
    },
    [Symbol.dispose]: () => database.close(),
  };
}

/** The version of SQLite inside this Node. */
export function sqliteVersion(): string {
  const database = new DatabaseSync(":memory:");
  const row = database.prepare("SELECT sqlite_version() AS version").get();
  database.close();
  return String(row?.["version"]);
}
