import { readFileSync } from "node:fs";

import type { Connection, RowDataPacket } from "mysql2/promise";

import { MementoError } from "../../core/errors.ts";
import { ownFile } from "../../core/own-files.ts";
import { quotedName } from "./dialect.ts";
import { failureOf } from "./failure.ts";

/** One file for each version of the tables, in order. A file that was released is never changed. */
const MIGRATIONS = ["001-store.sql"] as const;
const PROCEDURES = ["append_one", "append_all"] as const;
const TABLES = [
  "body_part",
  "caretaker",
  "commit_log",
  "gate",
  "memento",
  "memento_name",
  "migration",
  "store",
  "timeline",
  "wrapped_key",
];

/** How long another process is given to make the tables, in seconds. */
const MAKING_SECONDS = 60;
const PART_BYTES_MAX = 4_194_304;

/** What a session must say of itself. A pool that the store makes sees to it; one that is handed in may be another's too. */
const SESSION: Readonly<Record<string, RegExp>> = {
  autocommit: /^ON$/u,
  completion_type: /^NO_CHAIN$/u,
  sql_safe_updates: /^OFF$/u,
  sql_select_limit: /^18446744073709551615$/u,
  transaction_isolation: /^(?!READ-UNCOMMITTED)/u,
  tx_isolation: /^(?!READ-UNCOMMITTED)/u,
};

/** What a server says of itself. */
export interface ServerFacts {
  /** False: a commit may be lost by a power cut, because the server does not wait for its disk. */
  readonly durable: boolean;
  /** How texts are compared: byte by byte, spaces at the end too. */
  readonly collation: string;
  /** The largest part of a body that goes into one packet with all that is beside it. */
  readonly partBytesMax: number;
}

/**
 * Looks at the server; changes nothing. ENGINE_UNSUITABLE for one that is too old, that keeps its binary log by statements,
 * or whose nodes take writes side by side: there no lock of one is seen by the others. So too for a session that leaves
 * transactions open, reads what is not committed, or cuts answers short.
 */
export async function readServer(connection: Connection, url: string): Promise<ServerFacts> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'version_comment', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog',
      'binlog_format', 'max_allowed_packet', 'wsrep_on', 'group_replication_single_primary_mode', 'group_replication_group_name')`,
  );
  const variables = new Map(rows.map((row) => [String(row["Variable_name"]), String(row["Value"])]));
  const [versions] = await connection.query<RowDataPacket[]>("SELECT VERSION() AS version");
  const version = String(versions[0]?.["version"]);
  const isMaria = /mariadb/iu.test(version);
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/u).map(Number);
  const number = major * 10_000 + minor * 100 + patch;
  const refuse = (reason: string): MementoError => new MementoError("ENGINE_UNSUITABLE", `${url}: ${reason}`);
  if (isMaria ? number < 100_600 : number < 80_017)
    throw refuse(`the server is version ${version}; MariaDB 10.6 or MySQL 8.0.17 are the oldest that will do`);
  if (variables.get("wsrep_on") === "ON") throw refuse("the server is a node of a Galera cluster");
  if (
    (variables.get("group_replication_group_name") ?? "") !== "" &&
    variables.get("group_replication_single_primary_mode") === "OFF"
  )
    throw refuse("the server's group takes writes on several nodes");
  await checkSession(connection, url);
  const hasBinaryLog = variables.get("log_bin") === "ON";
  if (hasBinaryLog && variables.get("binlog_format") === "STATEMENT")
    throw refuse("the server's binlog_format is STATEMENT; ROW or MIXED will do");
  const flushes = variables.get("innodb_flush_log_at_trx_commit");
  const isFlushed = flushes === "1" || (isMaria && flushes === "3");
  return {
    durable: isFlushed && (!hasBinaryLog || variables.get("sync_binlog") === "1"),
    collation: isMaria ? "utf8mb4_nopad_bin" : "utf8mb4_0900_bin",
    partBytesMax: Math.min(PART_BYTES_MAX, Math.floor(Number(variables.get("max_allowed_packet")) / 2)),
  };
}

async function checkSession(connection: Connection, url: string): Promise<void> {
  const names = Object.keys(SESSION);
  const [rows] = await connection.query<RowDataPacket[]>("SHOW SESSION VARIABLES WHERE Variable_name IN (?)", [names]);
  for (const { Variable_name: name, Value: value } of rows) {
    if (SESSION[String(name)]?.test(String(value)) !== false) continue;
    throw new MementoError("ENGINE_UNSUITABLE", `${url}: a session of the pool has ${name} = ${value}`, {
      hint: `Set ${name} to its default for the sessions of this pool, or let the store make its own pool by a url.`,
    });
  }
}

/** Which version of the tables there is; 0 when there are none. FORMAT_UNKNOWN for a newer one, DAMAGED when some are missing. */
export async function schemaVersion(connection: Connection, prefix: string, url: string): Promise<number> {
  const version = await appliedVersion(connection, prefix, url);
  if (version === 0) return 0;
  if (version > MIGRATIONS.length) {
    const known = `this release knows up to ${MIGRATIONS.length}`;
    throw new MementoError("FORMAT_UNKNOWN", `${url} has schema version ${version}; ${known}`, {
      details: { version },
    });
  }
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT count(*) AS tables_found FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?)`,
    [TABLES.map((table) => `${prefix}${table}`)],
  );
  if (Number(rows[0]?.["tables_found"]) < TABLES.length)
    throw new MementoError("DAMAGED", `${url}: tables of the store are missing, or hidden from the account`);
  return version;
}

async function appliedVersion(connection: Connection, prefix: string, url: string): Promise<number> {
  try {
    const [rows] = await connection.query<RowDataPacket[]>(
      `SELECT coalesce(max(version), 0) AS version FROM ${quotedName(prefix, "migration")}`,
    );
    return Number(rows[0]?.["version"]);
  } catch (error) {
    const failure = failureOf(error, url);
    // There is no such table.
    if (failure.details["errno"] === 1146) return 0;
    throw failure;
  }
}

/** Whether the procedures are there by which an append is one round trip. */
export async function hasProcedures(connection: Connection, prefix: string): Promise<boolean> {
  const [rows] = await connection.query<RowDataPacket[]>(
    `SELECT count(*) AS found FROM information_schema.routines
      WHERE routine_schema = DATABASE() AND routine_type = 'PROCEDURE' AND routine_name IN (?)`,
    [PROCEDURES.map((name) => `${prefix}${name}`)],
  );
  return Number(rows[0]?.["found"]) === PROCEDURES.length;
}

/**
 * Brings the tables to this release's version. Statements that make tables are transactions of their own here, so that
 * each may be done again, and one process at a time does them: `then` is done while the others still wait.
 */
export async function migrate(
  connection: Connection,
  { prefix, url, collation }: { readonly prefix: string; readonly url: string; readonly collation: string },
  then: () => Promise<void>,
): Promise<void> {
  const lock = `memento making ${prefix}`;
  const [rows] = await connection.query<RowDataPacket[]>("SELECT GET_LOCK(CONCAT(?, SHA1(DATABASE())), ?) AS locked", [
    lock.slice(0, 24),
    MAKING_SECONDS,
  ]);
  if (Number(rows[0]?.["locked"]) !== 1)
    throw new MementoError("LOCKED", `${url}: another process is making the tables`);
  try {
    const version = await schemaVersion(connection, prefix, url);
    for (const [index, file] of MIGRATIONS.entries()) {
      if (index < version) continue;
      for (const statement of readStatements(file, prefix, collation)) await connection.query(statement);
      await makeProcedures(connection, prefix, collation, url);
      await connection.query(`INSERT INTO ${quotedName(prefix, "migration")} (version) VALUES (?)`, [index + 1]);
    }
    await then();
  } finally {
    await connection.query("SELECT RELEASE_LOCK(CONCAT(?, SHA1(DATABASE())))", [lock.slice(0, 24)]);
  }
}

/** An account that may make no procedures goes without: its appends take a few round trips more. */
async function makeProcedures(connection: Connection, prefix: string, collation: string, url: string): Promise<void> {
  try {
    for (const statement of readStatements("append.sql", prefix, collation)) await connection.query(statement);
  } catch (error) {
    const failure = failureOf(error, url);
    if (failure.code !== "ACCESS_DENIED") throw failure;
  }
}

function readStatements(file: string, prefix: string, collation: string): readonly string[] {
  const collated = `CHARACTER SET utf8mb4 COLLATE ${collation}`;
  const text = readFileSync(ownFile(`store/mysql/migrations/${file}`), "utf8")
    .replaceAll("{options}", `ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT ${collated}`)
    .replaceAll("{collated}", collated)
    .replaceAll(/\{([a-z_]+)\}/gu, (_, name: string) => quotedName(prefix, name));
  return text.split(/\n{2,}/u).filter((block) => block.replaceAll(/^--.*$/gmu, "").trim() !== "");
}
