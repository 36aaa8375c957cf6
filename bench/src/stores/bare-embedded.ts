// The floor under the embedded stores: one prepared INSERT a transaction into a table with a key (WAL, synchronous=FULL),
// and one file a value, written whole, synced, renamed, its folder synced.
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import type { BareStore } from "./store-engine.ts";

/** A table in a new database file. */
export async function bareSqliteTable(file: string): Promise<BareStore> {
  const database = new DatabaseSync(file);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE bare (key TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID",
  );
  const insert = database.prepare("INSERT INTO bare (key, body) VALUES (?, ?)");
  const select = database.prepare("SELECT body FROM bare WHERE key = ?");
  return {
    put: async (key, bytes) => {
      insert.run(key, bytes);
    },
    get: async (key) => Buffer.from(select.get(key)?.["body"] as Uint8Array),
    [Symbol.asyncDispose]: async () => database.close(),
  };
}

/** Files in a new folder. */
export async function bareFiles(folder: string): Promise<BareStore> {
  await mkdir(folder, { recursive: true });
  return {
    put: async (key, bytes) => {
      const temporary = join(folder, `${key}.tmp`);
      const file = await open(temporary, "wx");
      await file.writeFile(bytes);
      await file.sync();
      await file.close();
      await rename(temporary, join(folder, key));
      const directory = await open(folder, "r");
      await directory.sync();
      await directory.close();
    },
    get: async (key) => await readFile(join(folder, key)),
    [Symbol.asyncDispose]: async () => undefined,
  };
}
