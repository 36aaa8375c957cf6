import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";

import { asUser, programIsThere, startServer, type Server } from "./server.ts";

const PROGRAMS = process.env["MEMENTO_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin";

/** A private PostgreSQL whose account `postgres` needs no password. */
export interface PostgresServer extends Server {
  /** A store's URL; each schema is a place of its own. */
  url(schema: string, port?: number): string;
  /** Does something as the server's owner. */
  query(sql: string): Promise<readonly Record<string, unknown>[]>;
  /** A connection of the server's owner. */
  connect(): Promise<SqlConnection>;
}

/** A connection on which a test holds a transaction open. */
export interface SqlConnection extends AsyncDisposable {
  query(sql: string): Promise<readonly Record<string, unknown>[]>;
}

/** True when PostgreSQL is installed, or the reason why not: for `requireEngine`. */
export const probePostgres = (): true | string => programIsThere(path.join(PROGRAMS, "postgres"));

/** Starts a PostgreSQL; `settings` are `-c` options of it. */
export async function startPostgres(settings: readonly string[] = []): Promise<PostgresServer> {
  const data = (folder: string): string => path.join(folder, "data");
  const server = await startServer({
    name: "postgres",
    user: "postgres",
    prepare: async ({ folder }) => {
      const init = [path.join(PROGRAMS, "initdb"), "-D", data(folder), "-U", "postgres", "-A", "trust"] as const;
      const [file, ...args] = asUser("postgres", [...init, "--no-sync", "--no-locale", "-E", "UTF8"]);
      await promisify(execFile)(file, args, { cwd: folder });
    },
    command: ({ folder, port }) => {
      const fixed = ["listen_addresses=127.0.0.1", `unix_socket_directories=${folder}`, "shared_buffers=64MB"];
      const options = [...fixed, "max_connections=200", ...settings].flatMap((setting) => ["-c", setting]);
      return [path.join(PROGRAMS, "postgres"), "-D", data(folder), "-p", String(port), ...options];
    },
    isReady: async ({ port }) => {
      await ask(port, "SELECT 1");
      return true;
    },
  });
  const stop = server.stop.bind(server);
  return Object.assign(server, {
    stop: async () => {
      // By SIGTERM alone it would wait until every client has gone.
      server.signal("SIGINT");
      await stop();
    },
    url: (schema: string, port = server.port) =>
      `postgres://postgres@127.0.0.1:${port}/postgres?schema=${encodeURIComponent(schema)}`,
    query: async (sql: string) => await ask(server.port, sql),
    connect: async () => await connect(server.port),
  });
}

async function ask(port: number, sql: string): Promise<readonly Record<string, unknown>[]> {
  await using connection = await connect(port);
  return await connection.query(sql);
}

async function connect(port: number): Promise<SqlConnection> {
  const { Client } = await import("pg");
  const client = new Client({ host: "127.0.0.1", port, user: "postgres", database: "postgres" });
  client.on("error", () => undefined);
  await client.connect();
  return {
    query: async (sql) => (await client.query<Record<string, unknown>>(sql)).rows,
    [Symbol.asyncDispose]: async () => await client.end(),
  };
}
