import { connect, createServer, type Server as NetServer, type Socket } from "node:net";

/** What becomes of the bytes of one connection. */
export interface Connection {
  /** Closes both sides at once, by a reset: bytes that are under way are lost. */
  cut(): void;
}

/** What a proxy does with bytes. Called for each piece that passes; the piece waits for the answer. */
export interface Passage {
  /** From the client to the server. False: the piece is not passed on. */
  readonly toServer?: (bytes: Buffer, connection: Connection) => boolean | Promise<boolean>;
  /** From the server to the client. False: the piece is not passed on. */
  readonly toClient?: (bytes: Buffer, connection: Connection) => boolean | Promise<boolean>;
}

/** A TCP proxy on a free port of 127.0.0.1 that can lose, hold up and cut. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** The server's port that new connections go to. */
  serverPort: number;
  /** What is done from now on; `{}` passes everything. */
  passage: Passage;
  /** Resets every connection. */
  cutAll(): void;
}

/** Starts a proxy before a server of 127.0.0.1. */
export async function startProxy(serverPort: number): Promise<TcpProxy> {
  const connections = new Set<Connection>();
  const proxy: { passage: Passage; serverPort: number } = { passage: {}, serverPort };
  const listener: NetServer = createServer((client) => {
    const server = connect(proxy.serverPort, "127.0.0.1");
    const connection: Connection = {
      cut: () => {
        connections.delete(connection);
        client.resetAndDestroy();
        server.resetAndDestroy();
      },
    };
    connections.add(connection);
    carry(client, server, (bytes) => proxy.passage.toServer?.(bytes, connection) ?? true, connection);
    carry(server, client, (bytes) => proxy.passage.toClient?.(bytes, connection) ?? true, connection);
  });
  await new Promise<void>((resolve, reject) => {
    listener.once("error", reject);
    listener.listen(0, "127.0.0.1", resolve);
  });
  const address = listener.address();
  const cutAll = (): void => {
    for (const connection of connections) connection.cut();
  };
  return Object.assign(proxy, {
    port: typeof address === "object" && address !== null ? address.port : 0,
    cutAll,
    [Symbol.asyncDispose]: async () => {
      cutAll();
      await new Promise((resolve) => listener.close(resolve));
    },
  });
}

/** Carries bytes one way, piece by piece in their order, each once it was let through. */
function carry(
  from: Socket,
  to: Socket,
  passes: (bytes: Buffer) => boolean | Promise<boolean>,
  connection: Connection,
): void {
  let last: Promise<void> = Promise.resolve();
  from.setNoDelay(true);
  from.on("data", (bytes: Buffer) => {
    const before = last;
    const pass = async (): Promise<void> => {
      await before;
      if ((await passes(bytes)) && to.writable) to.write(bytes);
    };
    last = pass();
  });
  const end = async (): Promise<void> => {
    await last;
    to.end();
  };
  from.on("end", () => void end());
  from.on("close", () => void end());
  from.on("error", () => connection.cut());
}
