import { connect, createServer, type Server, type Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { startProxy, type TcpProxy } from "../harness/servers/tcp-proxy.ts";
import { ReplyCutter } from "./reply-cutter.ts";

let server: Server;
let proxy: TcpProxy;
let heard: string;

beforeEach(async () => {
  heard = "";
  server = createServer((socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    socket.on("data", (data: Buffer) => {
      heard += data.toString();
      socket.write(`done ${data.toString()}`);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  proxy = await startProxy(typeof address === "object" && address !== null ? address.port : 0);
});
afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await new Promise((resolve) => void server.close(resolve));
});

const client = async (): Promise<Socket> =>
  await new Promise((resolve) => {
    const socket: Socket = connect(proxy.port, "127.0.0.1", () => resolve(socket));
    socket.on("error", () => undefined);
  });

/** The answer, or null when the connection was lost. */
async function ask(socket: Socket, question: string): Promise<string | null> {
  return await new Promise((resolve) => {
    socket.once("data", (data) => resolve(data.toString()));
    socket.once("close", () => resolve(null));
    socket.write(question);
  });
}

describe("ReplyCutter", () => {
  test("loses the reply that was chosen, after the server has done the work, and no other", async () => {
    const cutter = new ReplyCutter(proxy);
    const [first, second] = [await client(), await client()];
    cutter.arm(2);
    expect(await ask(first, "a")).toBe("done a");
    expect(await ask(first, "b")).toBeNull();
    expect(heard).toBe("ab");
    expect(await ask(second, "c")).toBe("done c");
    expect(cutter.disarm()).toEqual({ cut: true, replies: 3 });
    expect(await ask(second, "d")).toBe("done d");
  });

  test("counts and loses nothing when it is told so", async () => {
    const cutter = new ReplyCutter(proxy);
    const socket = await client();
    cutter.arm(Number.POSITIVE_INFINITY);
    expect(await ask(socket, "a")).toBe("done a");
    expect(cutter.disarm()).toEqual({ cut: false, replies: 1 });
  });
});
