import type * as IoRedis from "ioredis";
import type { Cluster, Redis, RedisOptions } from "ioredis";

import { MementoError } from "../../core/errors.ts";
import { loadPeer } from "../optional-peer.ts";
import type { RedisAddress } from "./address.ts";

/** A client of one server or of a cluster. */
export type RedisClient = Redis | Cluster;

/** How long the client is patient, in milliseconds. */
export interface RedisPatience {
  /** For a connection; 10000 by default. */
  readonly connectTimeoutMs: number;
  /** For the answer to one command; 30000 by default. */
  readonly commandTimeoutMs: number;
}

/** TLS settings that a URL cannot hold: a private authority, a client certificate. */
export type RedisTls = NonNullable<RedisOptions["tls"]>;

/**
 * Makes a client that connects when it is told to and never by itself, and that never sends a command twice: an answer
 * that is lost is an error at once, and whoever asked finds out by id what became of it.
 */
export async function makeClient(
  address: RedisAddress,
  { connectTimeoutMs, commandTimeoutMs }: RedisPatience,
  tls: RedisTls | null,
): Promise<RedisClient> {
  const { Redis: RedisOfPeer, Cluster: ClusterOfPeer } = await loadPeer<typeof IoRedis>(
    "ioredis",
    ">=5.4 <7",
    "A store on Redis",
  );
  const shared = {
    ...(address.user === null ? {} : { username: address.user }),
    ...(address.password === null ? {} : { password: address.password }),
    ...(address.isTls ? { tls: tls ?? {} } : {}),
    protocol: 2 as const,
    replyMapping: "legacy" as const,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: false,
    // It would ask for INFO, which an account need not be allowed, and complain on the console.
    enableReadyCheck: false,
    disableClientInfo: true,
    lazyConnect: true,
  };
  if (!address.isCluster) {
    const [node] = address.nodes;
    const { host = "", port = 0 } = node ?? {};
    const single = { ...shared, host, port, db: address.database, enableOfflineQueue: false };
    // Without a strategy a connection that ends takes every call that waits with it, in place of holding them.
    return new RedisOfPeer({ ...single, retryStrategy: () => null });
  }
  return new ClusterOfPeer([...address.nodes], {
    redisOptions: shared,
    lazyConnect: true,
    enableAutoPipelining: false,
    clusterRetryStrategy: () => null,
    // More than 0 means to send again what a closed connection has left open.
    retryDelayOnFailover: 0,
    slotsRefreshTimeout: connectTimeoutMs,
  });
}

/** True for a client of a cluster. */
export function isClusterClient(client: RedisClient): client is Cluster {
  return "isCluster" in client && client.isCluster;
}

/** Throws INVALID_ARGUMENT for a client that sends commands again by itself: a save might be refused by its own first half. */
export function checkBorrowed(client: RedisClient): void {
  const [resends, prefix] = isClusterClient(client)
    ? [
        (client.options.retryDelayOnFailover ?? 1) > 0 && "retryDelayOnFailover: 0",
        client.options.keyPrefix ?? client.options.redisOptions?.keyPrefix,
      ]
    : [
        client.options.autoResendUnfulfilledCommands !== false && "autoResendUnfulfilledCommands: false",
        client.options.keyPrefix,
      ];
  if (resends !== false) {
    throw new MementoError("INVALID_ARGUMENT", `The Redis client sends commands again whose answer was lost`, {
      hint: `Make it with ${resends}; the store finds out itself what became of a command.`,
    });
  }
  if (prefix !== undefined && prefix !== "") {
    throw new MementoError(
      "INVALID_ARGUMENT",
      "The Redis client has a keyPrefix, which would break the store's hash tag",
      {
        hint: "Give the store's option `prefix` in its place.",
      },
    );
  }
}

/** What a client that was handed in is connected to. */
export function addressOf(client: RedisClient): RedisAddress {
  const hidden = { user: null, password: null };
  if (isClusterClient(client)) {
    const nodes = client.nodes("master").map(({ options: { host = "", port = 0 } }) => ({ host, port }));
    return { nodes, isCluster: true, isTls: client.options.redisOptions?.tls !== undefined, database: 0, ...hidden };
  }
  const { host = "localhost", port = 6_379, db = 0, tls } = client.options;
  return { nodes: [{ host, port }], isCluster: false, isTls: tls !== undefined, database: db, ...hidden };
}
