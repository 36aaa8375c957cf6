import type { MongoClient } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { borrowClient, connectUrl, readAddress, type CommitMode, type MongodbConnection } from "./connection.ts";

/** Where a store's collections are, and how it commits. */
export interface MongodbStoreOptions {
  /** `mongodb://user:password@host:port/database` or `mongodb+srv://…`; its `prefix` and `commit` are ours, all else the driver's. */
  readonly url?: string;
  /** In place of a URL: a client of the `mongodb` package, which is left open, and the name of a database. */
  readonly client?: MongoClient;
  readonly database?: string;
  /** What the names of the collections begin with; `memento_` by default. Several stores may share a database. */
  readonly prefix?: string;
  /**
   * `transaction`: each commit is one transaction, which replica sets and clusters have. `single-document`: each commit is
   * one document, completed by whoever comes next where its writer died. `auto`, the default, takes transactions where
   * the server has them. Clients of both kinds may share a store.
   */
  readonly commit?: CommitMode | "auto";
  /** How long the server may take for one command, in milliseconds; 30 seconds by default. */
  readonly commandTimeoutMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Connects to where the options say; gives the prefix of the collections too. INVALID_ARGUMENT for options that are none. */
export async function connect(
  options: MongodbStoreOptions,
): Promise<{ readonly connection: MongodbConnection; readonly prefix: string }> {
  const { url, client, database, commit } = options;
  const address = url === undefined ? null : readAddress(url);
  const prefix = checkPrefix(options.prefix ?? address?.prefix ?? "memento_");
  const wanted = checkMode(commit ?? address?.commit ?? "auto");
  if (address !== null) return { connection: await connectUrl(address, wanted), prefix };
  if (client !== undefined && database !== undefined)
    return { connection: await borrowClient(client, database, wanted), prefix };
  throw new MementoError("INVALID_ARGUMENT", "A store on MongoDB needs a url, or a client and the name of a database");
}

function checkPrefix(prefix: string): string {
  if (/^[A-Za-z0-9_.-]{0,60}$/u.test(prefix) && !prefix.startsWith("system.")) return prefix;
  throw new MementoError("INVALID_ARGUMENT", "The prefix of a store's collections has letters, digits, _ . and - only");
}

function checkMode(commit: string): CommitMode | "auto" {
  if (commit === "auto" || commit === "transaction" || commit === "single-document") return commit;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `commit is auto, transaction or single-document, not ${JSON.stringify(commit)}`,
  );
}
