import type * as Mongodb from "mongodb";
import type { Db, MongoClient, MongoClientOptions } from "mongodb";

import { MementoError } from "../../core/errors.ts";
import { loadPeer } from "../optional-peer.ts";
import { URL_ENCODING_HINT } from "../url-encoding.ts";
import { failureOf } from "./failure.ts";

/** How commits are made; see `MongodbStoreOptions`. */
export type CommitMode = "transaction" | "single-document";

/** An account and a server, ready to be asked. */
export interface MongodbConnection {
  readonly client: MongoClient;
  readonly database: Db;
  /** The URL without secrets, for people. */
  readonly where: string;
  /** True: a set or a cluster, which knows of majorities. */
  readonly replicated: boolean;
  readonly mode: CommitMode;
  /** Closes the client, where it was opened here. */
  close(): Promise<void>;
}

/** What a URL says, taken apart. */
export interface MongodbAddress {
  /** For the driver: without the parameters that are ours. */
  readonly url: string;
  readonly database: string;
  readonly prefix: string | null;
  readonly commit: string | null;
  readonly where: string;
  readonly secrets: readonly string[];
}

/** A name or an address, or an IPv6 address in brackets, and a port. */
const HOST = /^(?:\[[0-9a-f:.%]+\]|[^:[\]]+)(?::[0-9]{1,5})?$/iu;
const SELECTION_MS = 5_000;
/** The driver bounds its looks at the server by this too: one that is only busy must not be taken for dead. */
const CONNECT_MS = 10_000;
const SOCKET_MS = 60_000;
const POOL_SIZE = 20;

/** Takes a store's URL apart. INVALID_ARGUMENT for one that the driver could not read, or that names no database. */
export function readAddress(url: string): MongodbAddress {
  const match =
    /^(?<scheme>mongodb(?:\+srv)?:\/\/)(?:(?<account>[^@/]*)@)?(?<hosts>[^@/?]+)(?:\/(?<database>[^@?]*))?(?:\?(?<query>.*))?$/u.exec(
      url,
    );
  const { scheme = "", account, hosts = "", database = "", query = "" } = match?.groups ?? {};
  if (match === null || database === "" || !hosts.split(",").every((host) => HOST.test(host))) {
    const form = "mongodb://user:password@host:port/database";
    throw new MementoError("INVALID_ARGUMENT", `A store on MongoDB has a URL of the form ${form}`, {
      hint: URL_ENCODING_HINT,
    });
  }
  const parameters = new URLSearchParams(query);
  const [prefix, commit] = [parameters.get("prefix"), parameters.get("commit")];
  parameters.delete("prefix");
  parameters.delete("commit");
  const rest = parameters.size === 0 ? "" : `?${parameters.toString()}`;
  const [user, ...password] = (account ?? "").split(":");
  const shownAccount = account === undefined ? "" : `${user}@`;
  const shownPrefix = prefix === null ? "" : `?prefix=${encodeURIComponent(prefix)}`;
  const secret = password.join(":");
  return {
    url: `${scheme}${account === undefined ? "" : `${account}@`}${hosts}/${database}${rest}`,
    database: decodeURIComponent(database),
    prefix,
    commit,
    where: `${scheme}${shownAccount}${hosts}/${database}${shownPrefix}`,
    secrets: [...new Set([secret, decoded(secret)])].filter((each) => each !== ""),
  };
}

/** Connects to a URL's server, with bounded waits; what the URL itself says of them counts. */
export async function connectUrl(address: MongodbAddress, commit: CommitMode | "auto"): Promise<MongodbConnection> {
  const { MongoClient: Client } = await loadPeer<typeof Mongodb>("mongodb", ">=6.12 <8", "A store on MongoDB");
  const { where, url, secrets } = address;
  const given = new URLSearchParams(url.split("?")[1] ?? "");
  const bounds: MongoClientOptions = {};
  if (!given.has("serverSelectionTimeoutMS")) bounds.serverSelectionTimeoutMS = SELECTION_MS;
  if (!given.has("connectTimeoutMS")) bounds.connectTimeoutMS = CONNECT_MS;
  if (!given.has("socketTimeoutMS")) bounds.socketTimeoutMS = SOCKET_MS;
  if (!given.has("maxPoolSize")) bounds.maxPoolSize = POOL_SIZE;
  if (!given.has("appName")) bounds.appName = "memento";
  let client: MongoClient | null = null;
  try {
    const opened = (client = new Client(url, bounds));
    await opened.connect();
    const close = async (): Promise<void> => await opened.close();
    return { ...(await examine(opened, address.database, where, commit)), close };
  } catch (error) {
    await client?.close();
    throw withoutSecrets(failureOf(error, where), secrets);
  }
}

/** Borrows a client, which is left open. */
export async function borrowClient(
  client: MongoClient,
  database: string,
  commit: CommitMode | "auto",
): Promise<MongodbConnection> {
  const { hosts } = client.options;
  const where = `mongodb://${hosts.map(String).join(",")}/${database}`;
  try {
    return { ...(await examine(client, database, where, commit)), close: async () => undefined };
  } catch (error) {
    throw failureOf(error, where);
  }
}

/** Asks the server what it is: a set and a cluster have transactions, a single server has none. */
async function examine(
  client: MongoClient,
  name: string,
  where: string,
  commit: CommitMode | "auto",
): Promise<Omit<MongodbConnection, "close">> {
  const database = client.db(name);
  const { setName, msg, logicalSessionTimeoutMinutes } = await database.command({ hello: 1 });
  const replicated = typeof setName === "string" || msg === "isdbgrid";
  const mode = chooseMode(commit, { replicated, sessions: typeof logicalSessionTimeoutMinutes === "number" }, where);
  return { client, database, where, replicated, mode };
}

/** Transactions where the server has them, unless the user says otherwise. ENGINE_UNSUITABLE where they are demanded and missing. */
export function chooseMode(
  commit: CommitMode | "auto",
  { replicated, sessions }: { readonly replicated: boolean; readonly sessions: boolean },
  where: string,
): CommitMode {
  const hasTransactions = replicated && sessions;
  if (commit === "transaction" && !hasTransactions) {
    const hint = "Leave `commit` out, or make the server a replica set.";
    throw new MementoError("ENGINE_UNSUITABLE", `${where}: the server has no transactions`, { hint });
  }
  if (commit !== "auto") return commit;
  return hasTransactions ? "transaction" : "single-document";
}

/** The same error, where a secret stood in its words: without it, and without its cause, which may say it too. */
function withoutSecrets(error: MementoError, secrets: readonly string[]): MementoError {
  const told = `${error.message} ${String(error.cause instanceof Error ? error.cause.stack : "")}`;
  if (!secrets.some((secret) => told.includes(secret))) return error;
  const message = secrets.reduce((text, secret) => text.replaceAll(secret, "***"), error.message);
  return new MementoError(error.code, message, { hint: error.hint });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return text;
  }
}
