import { readFileSync } from "node:fs";

import type { ClientBase } from "pg";

import { MementoError } from "../../core/errors.ts";
import { ownFile } from "../../core/own-files.ts";
import { gateOf, makingLockOf } from "./dialect.ts";

/** One file for each version of the schema, in order. A file that was released is never changed. */
const MIGRATIONS = ["001-store.sql"] as const;

/** PostgreSQL 13, as `server_version_num` has it. */
const SERVER_VERSION_MIN = 130_000;

/** What a server says of itself. */
export interface ServerFacts {
  /** False: a commit may be lost by a power cut, because the server does not wait for its disk. */
  readonly durable: boolean;
  /** True: a statement that is its own transaction sees what others committed while it waited for them. */
  readonly readsCommitted: boolean;
}

/** Looks at the server; ENGINE_UNSUITABLE for one that is too old or no PostgreSQL. Changes nothing. */
export async function readServer(client: ClientBase, url: string): Promise<ServerFacts> {
  const { rows } = await client.query<Record<string, string | null>>(
    `SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS version,
      current_setting('fsync') AS fsync, current_setting('default_transaction_isolation') AS isolation`,
  );
  const { number, version, fsync, isolation } = rows[0] ?? {};
  if (Number(number) < SERVER_VERSION_MIN)
    throw new MementoError(
      "ENGINE_UNSUITABLE",
      `${url}: the server is PostgreSQL ${version}; 13 is the oldest that will do`,
    );
  return { durable: fsync !== "off", readsCommitted: isolation === "read committed" };
}

/**
 * Which version of the tables the schema has; 0 when it has none. FORMAT_UNKNOWN for a newer one, DAMAGED when some are
 * missing, ACCESS_DENIED when they are not to be seen.
 */
export async function schemaVersion(client: ClientBase, schema: string, url: string): Promise<number> {
  const found = await client.query<{ readonly relname: string; readonly usable: boolean }>(
    `SELECT c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS usable
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relname IN ('migration', 'commit_log', 'memento', 'timeline', 'store')`,
    [schema],
  );
  if (found.rows.length === 0) return 0;
  if (found.rows.some(({ usable }) => !usable))
    throw new MementoError("ACCESS_DENIED", `${url}: the account may not read the tables of the store`);
  const names = new Set(found.rows.map(({ relname }) => relname));
  if (!names.has("migration") && !names.has("commit_log"))
    throw new MementoError("NOT_A_STORE", `${url}: the schema has tables of another program`);
  if (names.size < 5) throw new MementoError("DAMAGED", `${url}: tables of the store are missing`);
  const { rows } = await client.query<{ readonly version: number | null }>(
    `SELECT max(version) AS version FROM "${schema}".migration`,
  );
  const version = rows[0]?.version ?? 0;
  if (version > MIGRATIONS.length) {
    const known = `this release knows up to ${MIGRATIONS.length}`;
    throw new MementoError("FORMAT_UNKNOWN", `${url} has schema version ${version}; ${known}`, {
      details: { version },
    });
  }
  if (version < 1) throw new MementoError("DAMAGED", `${url}: the version of the store's tables is gone`);
  return version;
}

/** Brings the tables to this release's version, inside the caller's transaction: whoever comes second finds it done. */
export async function migrate(client: ClientBase, schema: string, url: string): Promise<void> {
  await client.query(`SELECT pg_advisory_xact_lock(${makingLockOf(schema)})`);
  const version = await schemaVersion(client, schema, url);
  if (version === MIGRATIONS.length) return;
  // Who may make tables in a schema that is there need not be one who may make schemas.
  const { rowCount } = await client.query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", [schema]);
  if (rowCount === 0) await client.query(`CREATE SCHEMA "${schema}"`);
  for (const [index, file] of MIGRATIONS.entries()) {
    if (index < version) continue;
    const sql = readFileSync(ownFile(`store/postgres/migrations/${file}`), "utf8");
    await client.query(sql.replaceAll("{schema}", `"${schema}"`).replaceAll("{gate}", gateOf(schema)));
    await client.query(`INSERT INTO "${schema}".migration (version) VALUES ($1)`, [index + 1]);
  }
}
