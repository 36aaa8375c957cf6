import { randomBytes } from "node:crypto";
import { open, rm, stat, unlink } from "node:fs/promises";
import path from "node:path";

import { randomText } from "../core/ids.ts";
import { isDiskFull, systemCode } from "../core/path-errors.ts";
import { systemRandom } from "../core/ports.ts";
import { ioError } from "./file/io-errors.ts";

/** More than a new store takes together with its key: SQLite's three files and the key come to less than 80 kB. */
const NEW_STORE_BYTES = 131_072;

/**
 * Looks whether a new store has room at its path, by writing as many bytes there into a file without a name. On a full disk
 * neither half a store nor a key without its store is left then; to remove them afterwards would not be safe, since another
 * process may have made a store with that key meanwhile. DISK_FULL; whatever else is wrong there is for the store to say.
 */
export async function demandRoom(place: string): Promise<void> {
  const folder = (await isFolder(place)) ? place : path.dirname(place);
  const probe = path.join(folder, `.memento-room-${randomText(systemRandom, 12)}`);
  try {
    await using file = await open(probe, "wx", 0o600);
    await unlink(probe);
    // Random, for file systems that compress.
    await file.writeFile(randomBytes(NEW_STORE_BYTES));
    await file.sync();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    if (isDiskFull(error)) throw ioError(error, "make a store in", folder);
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

async function isFolder(place: string): Promise<boolean> {
  try {
    return (await stat(place)).isDirectory();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}
