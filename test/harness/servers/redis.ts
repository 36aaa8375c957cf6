import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import type { Probe } from "../engines.ts";
import { freePort, programIsThere, type Server, startServer } from "./server.ts";

const PROGRAM = "/usr/bin/redis-server";
const SETTINGS = { bind: "127.0.0.1", daemonize: "no", save: "", appendonly: "yes", appendfsync: "always" };
const CLUSTER_NODES = 3;
const CLUSTER_LOOKS_MAX = 1_200;
const SLOTS = 16_384;

/** A private Redis. */
export interface RedisServer extends Server {
  /** The URL of a store of this prefix. */
  url(prefix: string): string;
}

/** For `requireEngine("Redis", probe)`. */
export const redisIsThere: Probe = () => programIsThere(PROGRAM);

/** Starts a Redis that keeps what it acknowledges; more settings as `name value` in turn, later ones win. */
export async function startRedis(...settings: readonly string[]): Promise<RedisServer> {
  const options = settings.map((text, at) => (at % 2 === 0 ? `--${text}` : text));
  const server = await startServer({
    name: "redis",
    user: "redis",
    command: ({ port, folder }) => [
      PROGRAM,
      ...Object.entries({ ...SETTINGS, port: String(port), dir: folder }).flatMap(([name, value]) => [
        `--${name}`,
        value,
      ]),
      ...options,
    ],
    isReady: async ({ port }) => (await ask(port, "PING")).startsWith("+PONG"),
  });
  return Object.assign(server, {
    url: (prefix: string) => `redis://127.0.0.1:${server.port}/0?prefix=${prefix}`,
  });
}

/** A private cluster of three masters that share the slots evenly. */
export interface RedisCluster extends AsyncDisposable {
  readonly servers: readonly Server[];
  /** The URL of a store of this prefix. */
  url(prefix: string): string;
}

/** Starts three servers and makes them a cluster by commands; resolves once each of them sees it whole. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const servers: Server[] = [];
  const dispose = async (): Promise<void> => {
    for (const server of servers) await server[Symbol.asyncDispose]();
  };
  try {
    const buses: number[] = [];
    for (let node = 0; node < CLUSTER_NODES; node++) {
      // By default it would be 10,000 more than the port, which there may not be.
      const bus = await freePort();
      buses.push(bus);
      const settings = ["cluster-enabled", "yes", "cluster-port", String(bus), "cluster-node-timeout", "15000"];
      servers.push(await startRedis(...settings));
    }
    for (const [node, { port }] of servers.entries()) {
      const [first, last] = [node, node + 1].map((at) => Math.floor((at * SLOTS) / CLUSTER_NODES));
      await ask(port, `CLUSTER ADDSLOTSRANGE ${first} ${(last ?? 0) - 1}`);
      await ask(port, `CLUSTER SET-CONFIG-EPOCH ${node + 1}`);
    }
    for (const [node, { port }] of servers.entries())
      if (node > 0) await ask(servers[0]?.port ?? 0, `CLUSTER MEET 127.0.0.1 ${port} ${buses[node]}`);
    for (const { port } of servers) await untilWhole(port);
    const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(",");
    return { servers, url: (prefix) => `redis+cluster://${hosts}?prefix=${prefix}`, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function untilWhole(port: number): Promise<void> {
  for (let looks = 0; looks < CLUSTER_LOOKS_MAX; looks++) {
    const info = await ask(port, "CLUSTER INFO");
    if (info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${CLUSTER_NODES}`)) return;
    await sleep(50);
  }
  throw new Error(`the cluster did not come together: ${await ask(port, "CLUSTER NODES")}`);
}

/** The first piece of a server's answer to a command of plain words. */
export async function ask(port: number, command: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    socket.setTimeout(15_000, () => socket.destroy(new Error(`no answer to ${command}`)));
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once("error", reject);
  });
}
