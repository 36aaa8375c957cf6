import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import type { SqlConnection } from "./postgres.ts";
import { asUser, programIsThere, startServer, type Server } from "./server.ts";

const PROGRAM = process.env["MEMENTO_MARIADB"] ?? "/usr/sbin/mariadbd";

/** A private MariaDB whose account `root` needs no password. */
export interface MariadbServer extends Server {
  /** A store's URL; each prefix is a place of its own. */
  url(prefix: string, port?: number): string;
  /** Does something as the server's owner, in the database `memento`. */
  query(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** A connection of the server's owner, in the same database. */
  connect(): Promise<SqlConnection>;
}

/** True when MariaDB is installed, or the reason why not: for `requireEngine`. */
export const probeMariadb = (): true | string => programIsThere(PROGRAM);

/** Starts a MariaDB with a database `memento`; `settings` are options of it, without their dashes. */
export async function startMariadb(settings: readonly string[] = []): Promise<MariadbServer> {
  const data = (folder: string): string => path.join(folder, "data");
  const server = await startServer({
    name: "mariadb",
    user: "mysql",
    prepare: async ({ folder }) => {
      const made = [`--datadir=${data(folder)}`, "--auth-root-authentication-method=normal", "--skip-test-db"];
      const install = ["mariadb-install-db", "--no-defaults", ...made, "--skip-name-resolve"] as const;
      const [file, ...args] = asUser("mysql", install);
      await promisify(execFile)(file, args, { cwd: folder });
    },
    command: ({ folder, port }) => {
      const files = [
        `--datadir=${data(folder)}`,
        `--socket=${folder}/s.sock`,
        `--pid-file=${folder}/pid`,
        `--tmpdir=${folder}`,
      ];
      const fixed = [
        `port=${port}`,
        "bind-address=127.0.0.1",
        "skip-name-resolve",
        "innodb-buffer-pool-size=64M",
        "max-connections=200",
      ];
      return [PROGRAM, "--no-defaults", ...files, ...[...fixed, ...settings].map((setting) => `--${setting}`)];
    },
    isReady: async ({ port }) => {
      await ask(port, "CREATE DATABASE IF NOT EXISTS memento", undefined);
      return true;
    },
  });
  return Object.assign(server, {
    url: (prefix: string, port = server.port) => `mariadb://root@127.0.0.1:${port}/memento?prefix=${prefix}`,
    query: async (sql: string) => await ask(server.port, sql, "memento"),
    connect: async () => await connect(server.port, "memento"),
  });
}

async function ask(
  port: number,
  sql: string,
  database: string | undefined,
): Promise<readonly Record<string, unknown>[]> {
  await using connection = await connect(port, database);
  return await connection.query(sql);
}

async function connect(port: number, database: string | undefined): Promise<SqlConnection> {
  const { createConnection } = await import("mysql2/promise");
  const place = { host: "127.0.0.1", port, user: "root", multipleStatements: true, connectTimeout: 20_000 };
  const connection = await createConnection(database === undefined ? place : { ...place, database });
  return {
    query: async (sql) => {
      const [rows] = await connection.query(sql);
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
    },
    [Symbol.asyncDispose]: async () => await connection.end(),
  };
}
