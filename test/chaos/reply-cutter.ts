import type { Connection, TcpProxy } from "../harness/servers/tcp-proxy.ts";

/** What became of the replies while the cutter was armed. */
export interface CutReport {
  /** True: one reply was lost, and its connection reset. */
  readonly cut: boolean;
  /** Pieces that came back on connections over which something had been asked. */
  readonly replies: number;
}

/**
 * Loses one reply of a server behind a proxy, after the server has done the work: the bytes are dropped and the connection is
 * reset. What comes back on connections that asked for nothing meanwhile (a driver's own watch over the server) passes.
 */
export class ReplyCutter {
  readonly #proxy: TcpProxy;
  #replies = 0;
  #cut = false;

  constructor(proxy: TcpProxy) {
    this.#proxy = proxy;
  }

  /** From now on the reply of this number, from 1, is lost; Infinity counts and loses none. */
  arm(reply: number): void {
    const asking = new Set<Connection>();
    this.#replies = 0;
    this.#cut = false;
    this.#proxy.passage = {
      toServer: (_bytes, connection) => {
        asking.add(connection);
        return true;
      },
      toClient: (_bytes, connection) => {
        if (!asking.has(connection)) return true;
        this.#replies += 1;
        if (this.#cut || this.#replies < reply) return true;
        this.#cut = true;
        connection.cut();
        return false;
      },
    };
  }

  /** Everything passes again. */
  disarm(): CutReport {
    this.#proxy.passage = {};
    return { cut: this.#cut, replies: this.#replies };
  }
}
