import type * as ioredis from "ioredis";

import { MementoError } from "../../core/errors.ts";
import { systemClock, type Clock } from "../../core/ports.ts";
import { loadPeer } from "../optional-peer.ts";
import { URL_ENCODING_HINT } from "../url-encoding.ts";
import type { SharedPackCache } from "./cache.ts";
import type { PackBytes } from "./pack-cache.ts";
import { framePack, unframePack } from "./pack-frame.ts";

/** As much of an ioredis client (or cluster) as is used here. */
export interface RedisCacheClient {
  getBuffer(key: string): Promise<Buffer | null>;
  set(key: string, value: Buffer, unit: "PX", ttlMs: number): Promise<unknown>;
}

/** Which Redis, and what is kept there. */
export interface RedisCacheOptions {
  /** `redis://` or `rediss://`; opened here, and closed together with the cache. */
  readonly url?: string;
  /** A client of one's own; it stays open. */
  readonly client?: RedisCacheClient;
  /** Every entry is gone after this long; an hour by default. */
  readonly ttlMs?: number;
  /** Before every key; `memento:cache:` by default. */
  readonly prefix?: string;
  /** Packs larger than this are not put there; 8 MB by default. */
  readonly packBytesMax?: number;
  /** An answer that takes longer is not waited for; 250 ms by default. */
  readonly timeoutMs?: number;
  /** After a failure Redis is left alone for this long; 1000 ms by default. */
  readonly pauseMs?: number;
  /** Told once for each time that Redis stops answering, with the reason. Without it only `facts()` says so. */
  readonly onFailure?: (reason: string) => void;
  readonly clock?: Clock;
}

/** How well Redis does as a cache. */
export interface RedisCacheFacts {
  readonly failures: number;
  /** Entries that were not what had been put there. */
  readonly spoiled: number;
  /** False while it is left alone after a failure. */
  readonly answers: boolean;
}

const RANGE = ">=5.4 <7";

/**
 * Sealed packs in Redis, for all processes that have one store: as they lie in the store, each with a time after which it is
 * gone. Nothing but sealed bytes is ever put there, and no key. A Redis that fails or is slow is a cache that has nothing:
 * reads go to the store, and `facts()` and `onFailure` tell.
 */
export class RedisPackCache implements SharedPackCache, AsyncDisposable {
  readonly #client: RedisCacheClient;
  readonly #own: ioredis.Redis | null;
  readonly #options: Required<Omit<RedisCacheOptions, "url" | "client" | "onFailure">>;
  readonly #onFailure: ((reason: string) => void) | null;
  readonly #puts = new Set<Promise<void>>();
  #restsUntil = 0;
  #isFailing = false;
  #failures = 0;
  #spoiled = 0;

  private constructor(client: RedisCacheClient, own: ioredis.Redis | null, options: RedisCacheOptions) {
    const { ttlMs = 3_600_000, prefix = "memento:cache:", packBytesMax = 8 * 1_048_576 } = options;
    const { timeoutMs = 250, pauseMs = 1_000, clock = systemClock, onFailure = null } = options;
    this.#client = client;
    this.#own = own;
    this.#options = { ttlMs, prefix, packBytesMax, timeoutMs, pauseMs, clock };
    this.#onFailure = onFailure;
  }

  /** Opens it; a Redis that cannot be reached is no error, but a cache with nothing in it. INVALID_ARGUMENT, PEER_MISSING. */
  static async open(options: RedisCacheOptions): Promise<RedisPackCache> {
    const { url, client } = options;
    if (client !== undefined) return new RedisPackCache(client, null, options);
    if (url === undefined) throw new MementoError("INVALID_ARGUMENT", "A cache in Redis needs a URL or a client");
    const { Redis: Client } = await loadPeer<typeof ioredis>("ioredis", RANGE, "A cache in Redis");
    const own = clientOf(Client, url);
    const cache = new RedisPackCache(own, own, options);
    own.on("error", (error: Error) => cache.#fail(error));
    await cache.#firstConnection(own);
    return cache;
  }

  facts(): RedisCacheFacts {
    return { failures: this.#failures, spoiled: this.#spoiled, answers: !this.#isFailing };
  }

  async get(name: string): Promise<PackBytes | null> {
    const { prefix } = this.#options;
    const value = await this.#attempt(() => this.#client.getBuffer(prefix + name));
    if (value === null) return null;
    const pack = unframePack(value);
    if (pack === null) this.#spoiled += 1;
    return pack;
  }

  put(name: string, pack: PackBytes): void {
    const { prefix, ttlMs, packBytesMax } = this.#options;
    if (pack.header.byteLength + pack.body.byteLength > packBytesMax) return;
    const framed = framePack(pack);
    const putting = async (): Promise<void> => {
      await this.#attempt(() => this.#client.set(prefix + name, framed, "PX", ttlMs));
      this.#puts.delete(put);
    };
    const put = putting();
    this.#puts.add(put);
  }

  /** Waits for what is on its way there; closes the client unless it was handed in. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#puts);
    this.#own?.disconnect();
  }

  async #attempt<T>(call: () => Promise<T>): Promise<T | null> {
    const { clock, timeoutMs, pauseMs } = this.#options;
    if (clock.monotonic() < this.#restsUntil) return null;
    const waiting = new AbortController();
    const tooLate = clock.sleep(timeoutMs, waiting.signal).then(() => {
      // The client would hold what was sent until the connection ends, which may be never. It connects anew by itself.
      this.#own?.disconnect(true);
      throw new Error(`no answer within ${timeoutMs} ms`);
    });
    try {
      const answer = await Promise.race([call(), tooLate]);
      this.#isFailing = false;
      return answer;
    } catch (error) {
      this.#restsUntil = clock.monotonic() + pauseMs;
      this.#fail(error);
      return null;
    } finally {
      waiting.abort();
      // The pause that was called off has nobody who waits for it.
      tooLate.catch(() => undefined);
    }
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    if (!this.#isFailing) this.#onFailure?.(error instanceof Error ? error.message : String(error));
    this.#isFailing = true;
  }

  async #firstConnection(own: ioredis.Redis): Promise<void> {
    const { clock } = this.#options;
    const waiting = new AbortController();
    const settled = new Promise<void>((resolve) => {
      own.once("ready", resolve);
      own.once("error", () => resolve());
    });
    const tooLong = clock.sleep(2_000, waiting.signal).catch(() => undefined);
    await Promise.race([settled, tooLong]);
    waiting.abort();
  }
}

/** A client whose calls fail at once while there is no connection; it is made again in the background. INVALID_ARGUMENT, without what the URL says. */
function clientOf(Client: typeof ioredis.Redis, url: string): ioredis.Redis {
  const settings = { enableOfflineQueue: false, maxRetriesPerRequest: 0, connectTimeout: 2_000 };
  try {
    if (/^rediss?:\/\//.test(url)) return new Client(url, settings);
  } catch (error) {
    // The client's own error holds the URL, and so the password.
    if (!(error instanceof TypeError || error instanceof URIError)) throw error;
  }
  throw new MementoError(
    "INVALID_ARGUMENT",
    "The URL of a cache in Redis is redis://user:password@host:port/database",
    {
      hint: URL_ENCODING_HINT,
    },
  );
}
