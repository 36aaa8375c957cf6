import path from "node:path";

import { enginesFolder, programIsThere, type Server, startServer } from "./server.ts";

const program = path.join(enginesFolder, "secantusdb-0.7.0b3", "bin", "secantusd-py");

/** A private server that speaks the MongoDB protocol: SecantusDB, which keeps its documents in WiredTiger. */
export interface MongodbServer extends Server {
  /** The URL of a database; `account` is `user:password` where the server asks for one. */
  url(database: string, account?: string): string;
}

/** What a server is started with. */
export interface MongodbServerOptions {
  /** True: only accounts are let in. Make them first, on the same folder, without it. */
  readonly auth?: boolean;
  /** True: it says that it is a single server, and not a set of one. */
  readonly standalone?: boolean;
}

/** For `requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere)`. */
export const mongodbIsThere = (): true | string => programIsThere(program);

/** Starts a private SecantusDB. `auth` may be switched on for its next start by `requireAccounts`. */
export async function startMongodb(
  options: MongodbServerOptions = {},
): Promise<MongodbServer & { requireAccounts(): void }> {
  let auth = options.auth === true;
  const server = await startServer({
    name: "mongodb",
    // Without --sync-on-commit it acknowledges what a kill takes away again.
    command: ({ port, folder }) => [
      program,
      "--host",
      "127.0.0.1",
      "--port",
      String(port),
      "--storage-path",
      path.join(folder, "data"),
      "--cache-size",
      "512M",
      "--sync-on-commit",
      "--oplog-retention-seconds",
      "60",
      "--log-level",
      "WARNING",
      ...(auth ? ["--auth"] : []),
      ...(options.standalone === true ? ["--standalone"] : []),
    ],
    // It reads a configuration of the user's where it finds one.
    env: ({ folder }) => ({ HOME: folder }),
  });
  return Object.assign(server, {
    requireAccounts: () => {
      auth = true;
    },
    url: (database: string, account?: string) =>
      `mongodb://${account === undefined ? "" : `${account}@`}127.0.0.1:${server.port}/${database}?directConnection=true${account === undefined ? "" : "&authSource=admin"}`,
  });
}
