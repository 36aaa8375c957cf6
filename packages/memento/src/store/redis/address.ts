import { MementoError } from "../../core/errors.ts";
import { URL_ENCODING_HINT } from "../url-encoding.ts";

/** Where a Redis server is, as a URL says it. */
export interface RedisAddress {
  /** One for a single server, one or more for a cluster. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly isCluster: boolean;
  readonly isTls: boolean;
  readonly user: string | null;
  readonly password: string | null;
  readonly database: number;
}

/** What else a URL may say. */
export interface RedisUrlOptions {
  readonly prefix?: string;
  readonly allowLoss?: boolean;
  readonly waitReplicas?: number;
}

const SCHEME =
  /^(?<scheme>rediss?(?:\+cluster)?):\/\/(?:(?<credentials>[^@/]*)@)?(?<hosts>[^/?#]*)(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/;
const HOST = /^(?<host>\[[0-9a-f:.]+\]|[^:[\]]+)(?::(?<port>[0-9]{1,5}))?$/i;
const DEFAULT_PORT = 6_379;

/**
 * Reads `redis://[user:password@]host[:port][/database]?prefix=&durability=relaxed&waitReplicas=`; `rediss` is TLS, and
 * `redis+cluster` takes several hosts with commas between. INVALID_ARGUMENT, without the password, for anything else.
 */
export function readRedisUrl(url: string): { readonly address: RedisAddress; readonly options: RedisUrlOptions } {
  const { scheme, credentials, hosts, database, query } = SCHEME.exec(url)?.groups ?? {};
  if (scheme === undefined || hosts === undefined) throw invalid("it is not redis://host:port/database");
  const isCluster = scheme.endsWith("+cluster");
  if (isCluster && (database ?? "") !== "") throw invalid("a cluster has no numbered databases");
  if (!/^[0-9]{0,5}$/.test(database ?? "")) throw invalid("a database is a number");
  const nodes = hosts.split(",").map(readHost);
  if (nodes.length > 1 && !isCluster) throw invalid("several hosts are a cluster: redis+cluster://");
  const [user = "", ...password] = (credentials ?? "").split(":");
  return {
    address: {
      nodes,
      isCluster,
      isTls: scheme.startsWith("rediss"),
      user: user === "" ? null : decoded(user),
      password: password.length === 0 ? null : decoded(password.join(":")),
      database: Number(database ?? 0),
    },
    options: readQuery(query ?? ""),
  };
}

/** The address for people: nothing of user and password is in it. */
export function describeRedis({ nodes, isCluster, isTls, database }: RedisAddress, prefix: string): string {
  const scheme = `redis${isTls ? "s" : ""}${isCluster ? "+cluster" : ""}`;
  const hosts = nodes.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(",");
  return `${scheme}://${hosts}${database === 0 ? "" : `/${database}`}?prefix=${encodeURIComponent(prefix)}`;
}

/** Returns `prefix`, or throws INVALID_ARGUMENT: braces in it would make another hash tag than the one that is meant. */
export function checkPrefix(prefix: string): string {
  if (/^[^{}\s]{1,200}$/u.test(prefix)) return prefix;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `The prefix ${JSON.stringify(prefix.slice(0, 60))} is not 1 to 200 characters without spaces and braces`,
  );
}

function readHost(text: string): { readonly host: string; readonly port: number } {
  const { host, port } = HOST.exec(text)?.groups ?? {};
  if (host === undefined || Number(port ?? 1) > 65_535) throw invalid("a host is name:port");
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port ?? DEFAULT_PORT) };
}

function readQuery(query: string): RedisUrlOptions {
  const options: { prefix?: string; allowLoss?: boolean; waitReplicas?: number } = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === "prefix") options.prefix = checkPrefix(value);
    else if (name === "durability" && (value === "relaxed" || value === "full"))
      options.allowLoss = value === "relaxed";
    else if (name === "waitReplicas" && /^[0-9]{1,3}$/.test(value)) options.waitReplicas = Number(value);
    else throw invalid(`its part ${JSON.stringify(name)} is none of prefix=, durability=relaxed and waitReplicas=`);
  }
  return options;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // The cause would show the text.
    throw invalid("user or password is not percent-encoded");
  }
}

function invalid(reason: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `The Redis URL cannot be read: ${reason}`, { hint: URL_ENCODING_HINT });
}
