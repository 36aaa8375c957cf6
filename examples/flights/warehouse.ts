import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";

import { MementoError } from "@mementojs/memento";

const VERIFIER_BYTES = 32;

const derive = promisify<string, Uint8Array, number, Buffer>(scrypt);

/**
 * Lets only those in who know the warehouse's password. A SQLite file has no login of its own: this stands for the one of a
 * real warehouse. The first password becomes the warehouse's; what the file keeps of it is a salt and an scrypt verifier.
 */
export async function unlockWarehouse(database: DatabaseSync, password: string): Promise<void> {
  database.exec(
    "CREATE TABLE IF NOT EXISTS warehouse_login (only INTEGER PRIMARY KEY CHECK (only = 1), salt BLOB NOT NULL, verifier BLOB NOT NULL) STRICT",
  );
  const find = database.prepare("SELECT salt, verifier FROM warehouse_login");
  if (find.get() === undefined) {
    const salt = randomBytes(16);
    const verifier = await derive(password, salt, VERIFIER_BYTES);
    // Two may open a new warehouse at once: the first one's password counts, and the second is checked against it.
    const first = database.prepare("INSERT OR IGNORE INTO warehouse_login VALUES (1, ?, ?)").run(salt, verifier);
    if (first.changes === 1) return;
  }
  const { salt, verifier } = find.get() as { salt: Uint8Array; verifier: Uint8Array };
  if (timingSafeEqual(await derive(password, salt, verifier.length), verifier)) return;
  throw new MementoError("CREDENTIAL_UNAVAILABLE", "The warehouse refused the password", {
    hint: "Set DEMO_WAREHOUSE_PASSWORD to the password that this warehouse was first opened with.",
  });
}
