import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import type { DatabaseSync } from "node:sqlite";

import { MementoError } from "../../core/errors.ts";
import { ownFile } from "../../core/own-files.ts";
import { systemCode } from "../../core/path-errors.ts";
import { transact } from "./database.ts";
import { failureOf } from "./failure.ts";
import { numberOf } from "./rows.ts";

/** "Mmto" in ASCII: tells a store from every other SQLite database. */
const APPLICATION_ID = 0x4d6d746f;
/** One file for each version of the schema, in order, with tables that it makes. A file that was released is never changed. */
const MIGRATIONS = [
  { file: "001-store.sql", tables: ["commit_log", "memento", "store"] },
  { file: "002-recent.sql", tables: ["head", "recent_memento"] },
] as const;

/** The version that this release makes and uses. */
export const SCHEMA_VERSION = MIGRATIONS.length;

const ELSEWHERE = "Check the URL; a new store needs a path of its own.";

const MAGIC = Buffer.from("SQLite format 3\0", "latin1");
const HEADER_BYTES = 100;
const APPLICATION_ID_OFFSET = 68;

/**
 * Looks at a file's first bytes before SQLite does. False for a file that is missing or empty. NOT_A_STORE when it is
 * something else than a database; DAMAGED when it was one of ours and its first bytes were changed.
 */
export async function looksLikeDatabase(path: string): Promise<boolean> {
  const file = await open(path, "r").catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return null;
    throw error;
  });
  if (file === null) return false;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    if (bytesRead === 0) return false;
    if (bytesRead === HEADER_BYTES && buffer.subarray(0, MAGIC.length).equals(MAGIC)) return true;
    const ours = buffer.readUInt32BE(APPLICATION_ID_OFFSET) === APPLICATION_ID || isCutMagic(buffer, bytesRead);
    if (ours)
      throw new MementoError("DAMAGED", `${path}: the first bytes of the database were changed`, { details: { path } });
    throw new MementoError("NOT_A_STORE", `${path} is not an SQLite database`, { details: { path }, hint: ELSEWHERE });
  } finally {
    await file.close();
  }
}

function isCutMagic(buffer: Buffer, bytesRead: number): boolean {
  return (
    bytesRead < HEADER_BYTES &&
    buffer.subarray(0, Math.min(bytesRead, MAGIC.length)).equals(MAGIC.subarray(0, bytesRead))
  );
}

/**
 * Which version of the schema the database has; 0 when it has no tables at all. NOT_A_STORE for another program's
 * database, FORMAT_UNKNOWN for a newer version, DAMAGED when what it says of itself was changed.
 */
export function schemaVersion(database: DatabaseSync, path: string): number {
  const version = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  const found = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  if (found.length === 0 && version === 0 && application === 0) return 0;
  const has = (name: string): boolean => found.some((table) => table["name"] === name);
  const ours = MIGRATIONS[0].tables.every(has);
  if (application !== APPLICATION_ID) {
    if (ours) throw new MementoError("DAMAGED", `${path}: the database's mark was changed`, { details: { path } });
    throw new MementoError("NOT_A_STORE", `${path} is another program's database`, {
      details: { path },
      hint: ELSEWHERE,
    });
  }
  if (version > MIGRATIONS.length) {
    const known = `this release knows up to ${MIGRATIONS.length}`;
    throw new MementoError("FORMAT_UNKNOWN", `${path} has schema version ${version}; ${known}`, {
      details: { path, version },
    });
  }
  if (version < 1 || !MIGRATIONS.slice(0, version).every(({ tables }) => tables.every(has)))
    throw new MementoError("DAMAGED", `${path}: tables of the store are missing`, { details: { path } });
  if (MIGRATIONS.slice(version).some(({ tables }) => tables.some(has)))
    throw new MementoError("DAMAGED", `${path}: the version of the database's tables was changed`, {
      details: { path },
    });
  return version;
}

/** Brings the schema to this release's version, inside the caller's transaction: whoever comes second finds it done. */
export function migrate(database: DatabaseSync, path: string): void {
  const version = schemaVersion(database, path);
  if (version === MIGRATIONS.length) return;
  for (const { file } of MIGRATIONS.slice(version)) {
    database.exec(readFileSync(ownFile(`store/sqlite/migrations/${file}`), "utf8"));
  }
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${MIGRATIONS.length}`);
}

/** Brings an earlier release's store to this one's tables; where that fails, it is as it was. */
export function bringUp(database: DatabaseSync, path: string): void {
  try {
    transact(database, () => migrate(database, path));
  } catch (error) {
    const { code, message, details } = failureOf(error, path);
    if (code === "LOCKED") throw error;
    throw new MementoError(code, `${message}. It was to be brought to this release's tables, and is as it was`, {
      cause: error,
      hint: "The release that it was used with still opens it: to make room, or to copy what can be read into a new store.",
      details,
    });
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return numberOf(database.prepare(`PRAGMA ${name}`).get() ?? {}, name);
}
