import type { Redis } from "ioredis";

import { MementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { isClusterClient, type RedisClient } from "./client.ts";
import { failureOf } from "./failure.ts";
import type { Script } from "./lua/script.ts";
import { askServer, judgeServer } from "./suitability.ts";

/** What a link needs. */
export interface LinkOptions {
  readonly client: RedisClient;
  /** True: the link connects it, and closes it. */
  readonly isOwned: boolean;
  /** The store's URL without secrets. */
  readonly where: string;
  readonly allowLoss: boolean;
  /** How many replicas must have a change before it is acknowledged; 0 for none. */
  readonly waitReplicas: number;
  /** Within this a connection that was refused is tried again; the last try may take as long once more. */
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** A key of the store: tells which server of a cluster has it. */
  readonly key: string;
  readonly clock: Clock;
}

/** What a script is called with. */
export type Argument = string | Uint8Array;

/** The pauses before a refused connection is tried again, in milliseconds: a server that restarts is back soon. */
const PAUSES_MS = [50, 100, 200, 400, 800] as const;
const LOADING_PAUSE_MS = 100;
const LOADING_PAUSES_MAX = 50;

/**
 * The way to the server. Calls go out in the order in which they are made, over one connection; none is ever sent
 * twice. A connection that ends fails every call that waits with STORE_UNREACHABLE; the next call connects anew and looks
 * first whether the server is still one that keeps what it is given.
 */
export class Link {
  readonly #options: LinkOptions;
  readonly #client: RedisClient;
  readonly #waiting = new Set<(error: Error) => void>();
  #ready: Promise<void> | null = null;
  #isReady = false;
  #isClosed = false;
  #lastError: Error | null = null;
  #durable = false;
  readonly #onEnd = (): void => {
    this.#isReady = false;
    // The client itself lets calls hang that were under way, where it is to connect again but not to repeat them.
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const reject of waiting) reject(this.#lastError ?? new Error("Connection is closed."));
  };
  /** A server of a cluster that is gone fails the calls that it was asked; the next call looks at all servers again. */
  readonly #onNodeGone = (): void => {
    this.#isReady = false;
  };
  readonly #onError = (error: Error): void => {
    this.#lastError = error;
  };

  private constructor(options: LinkOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#client.on("error", this.#onError);
    this.#client.on("close", this.#onEnd);
    this.#client.on("end", this.#onEnd);
    this.#client.on("-node", this.#onNodeGone);
  }

  /** Connects, and looks at the server. */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    try {
      await link.#prepare();
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  /** True: the server keeps what it acknowledges, as it was set up when the link was opened. */
  get durable(): boolean {
    return this.#durable;
  }

  /** Calls a script that changes nothing. */
  async read(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<readonly unknown[]> {
    if (!this.#isReady) await this.#prepare();
    return await this.#script(script, keys, args);
  }

  /** Calls a script that changes something; where that was agreed on, waits until replicas have it. */
  async write(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<readonly unknown[]> {
    const reply = await this.read(script, keys, args);
    if (this.#options.waitReplicas > 0) await this.#waitForReplicas();
    return reply;
  }

  /** The bytes of a key; null when there is none. */
  async get(key: string): Promise<Buffer | null> {
    if (!this.#isReady) await this.#prepare();
    return (await this.#call("get", [key])) as Buffer | null;
  }

  /** Does something with the server that holds the store. */
  async withServer<T>(work: (node: Redis) => Promise<T>): Promise<T> {
    if (!this.#isReady) await this.#prepare();
    const node = await this.#server();
    try {
      return await this.#settled(work(node));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** True while a cluster moves the store's slot from one server to another: part of the store is on each. */
  async isMoving(): Promise<boolean> {
    if (!isClusterClient(this.#client)) return false;
    if (!this.#isReady) await this.#prepare();
    try {
      for (const node of this.#client.nodes("master")) {
        const slot = await this.#settled(node.cluster("KEYSLOT", this.#options.key));
        const nodes = String(await this.#settled(node.cluster("NODES")));
        if (nodes.includes(` [${slot}->-`) || nodes.includes(` [${slot}-<-`)) return true;
      }
      return false;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Puts an error into our words. */
  #failure(error: unknown): MementoError {
    return failureOf(error, this.#options.where);
  }

  /** Waits for what is under way, and ends the connection if it is the link's own. May be called again. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#options.isOwned) await this.#end();
    this.#client.off("error", this.#onError);
    this.#client.off("close", this.#onEnd);
    this.#client.off("end", this.#onEnd);
    this.#client.off("-node", this.#onNodeGone);
    // What a connection still says while it ends is of no interest any more, and must not end the process.
    if (this.#options.isOwned) this.#client.on("error", () => undefined);
  }

  /** Answers to what is under way come before the end, unless the server is silent. */
  async #end(): Promise<void> {
    try {
      if (this.#client.status === "ready") await this.#settled(this.#client.quit());
    } catch (error) {
      if (this.#failure(error).code !== "STORE_UNREACHABLE") throw error;
    }
    this.#client.disconnect();
  }

  async #script(
    { text, sha }: Script,
    keys: readonly string[],
    args: readonly Argument[],
  ): Promise<readonly unknown[]> {
    const rest = [String(keys.length), ...keys, ...args.map(sendable)];
    try {
      return (await this.#call("evalsha", [sha, ...rest])) as readonly unknown[];
    } catch (error) {
      // Nothing was done: the server was started anew, or has never met the script.
      if (!(error instanceof MementoError && error.details["reply"] === "NOSCRIPT")) throw error;
      return (await this.#call("eval", [text, ...rest])) as readonly unknown[];
    }
  }

  async #call(command: string, args: (string | Buffer)[]): Promise<unknown> {
    try {
      return await this.#settled(this.#client.callBuffer(command, args));
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("NOSCRIPT"))
        throw new MementoError("IO_FAILED", "The server does not know the script", { details: { reply: "NOSCRIPT" } });
      if (error instanceof Error && /^READONLY|read only replica/.test(error.message)) this.#leaveReplica();
      throw this.#failure(error);
    }
  }

  /** A server that has become a replica may keep its connections: a new one finds the server that the address means by now. */
  #leaveReplica(): void {
    if (this.#options.isOwned && !isClusterClient(this.#client)) this.#client.disconnect();
  }

  /** The answer, or the end of the connection, whichever comes first. */
  async #settled<T>(answer: Promise<T>): Promise<T> {
    const end = Promise.withResolvers<never>();
    this.#waiting.add(end.reject);
    try {
      return await Promise.race([answer, end.promise]);
    } finally {
      this.#waiting.delete(end.reject);
    }
  }

  async #prepare(): Promise<void> {
    this.#ready ??= this.#connect().finally(() => (this.#ready = null));
    await this.#ready;
  }

  async #connect(): Promise<void> {
    const { clock, connectTimeoutMs } = this.#options;
    const deadline = clock.monotonic() + connectTimeoutMs;
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#connectOnce();
        return;
      } catch (error) {
        const failure = this.#failure(error);
        const pause = PAUSES_MS[attempt];
        const isLast = pause === undefined || this.#isClosed || clock.monotonic() + pause > deadline;
        if (failure.code !== "STORE_UNREACHABLE" || isLast) throw failure;
        await clock.sleep(pause);
      }
    }
  }

  async #connectOnce(): Promise<void> {
    const { status } = this.#client;
    this.#lastError = null;
    const isIdle = status === "wait" || status === "end" || status === "close";
    if (this.#options.isOwned && isIdle) {
      try {
        await this.#client.connect();
      } catch (error) {
        // What the connection failed of is told beside it; the promise says only that it was closed.
        throw this.#lastError ?? error;
      }
      await Promise.resolve();
      // A database that cannot be selected leaves the client in another one.
      const early = this.#lastError as Error | null;
      if (early !== null) {
        this.#client.disconnect();
        throw early;
      }
    }
    await this.#judge();
    this.#isReady = true;
  }

  /** Every server that may come to hold the store must be fit for it. */
  async #judge(): Promise<void> {
    const { where, allowLoss } = this.#options;
    const nodes = isClusterClient(this.#client) ? this.#client.nodes("master") : [this.#client];
    let durable = true;
    for (const node of nodes) {
      let facts = await this.#settled(askServer(node));
      for (let pauses = 0; facts.get("info loading") === "1" && pauses < LOADING_PAUSES_MAX; pauses++) {
        await this.#options.clock.sleep(LOADING_PAUSE_MS);
        facts = await this.#settled(askServer(node));
      }
      durable = judgeServer(facts, where, allowLoss).durable && durable;
    }
    this.#durable = durable;
  }

  async #server(): Promise<Redis> {
    if (!isClusterClient(this.#client)) return this.#client;
    for (const node of this.#client.nodes("master")) {
      try {
        await this.#settled(node.exists(this.#options.key));
        return node;
      } catch (error) {
        if (!(error instanceof Error && error.message.startsWith("MOVED"))) throw this.#failure(error);
      }
    }
    throw new MementoError(
      "STORE_UNREACHABLE",
      `${this.#options.where}: no server of the cluster has the store's slot`,
    );
  }

  /** On the connection that made the change: WAIT is for what that connection wrote. */
  async #waitForReplicas(): Promise<void> {
    const { waitReplicas, commandTimeoutMs, where } = this.#options;
    const reached = await this.withServer(
      async (node) => await node.wait(waitReplicas, Math.ceil(commandTimeoutMs / 2)),
    );
    if (reached >= waitReplicas) return;
    throw new MementoError(
      "STORE_UNREACHABLE",
      `${where}: the change was made, and ${reached} of ${waitReplicas} replicas have it`,
      { details: { replicas: reached } },
    );
  }
}

function sendable(argument: Argument): string | Buffer {
  if (typeof argument === "string" || argument instanceof Buffer) return argument;
  return Buffer.from(argument.buffer, argument.byteOffset, argument.byteLength);
}
