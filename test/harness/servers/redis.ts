import { connect } from "node:net";

import type { Probe } from "../engines.ts";
import { programIsThere, type Server, startServer } from "./server.ts";

const PROGRAM = "/usr/bin/redis-server";
const SETTINGS = { bind: "127.0.0.1", daemonize: "no", save: "", appendonly: "yes", appendfsync: "always" };

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
      ...Object.entries({ ...SETTINGS, port: String(port), dir: folder }).flatMap(([name, value]) => [`--${name}`, value]),
      ...options,
    ],
    isReady: async ({ port }) => (await ask(port, "PING")).startsWith("+PONG"),
  });
  return Object.assign(server, {
    url: (prefix: string) => `redis://127.0.0.1:${server.port}/0?prefix=${prefix}`,
  });
}

/** The first piece of a server's answer to a command of plain words. */
export async function ask(port: number, command: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    socket.setTimeout(2_000, () => socket.destroy(new Error(`no answer to ${command}`)));
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString());
    });
    socket.once("error", reject);
  });
}
