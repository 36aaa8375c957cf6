import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Clock, Random } from "../../core/ports.ts";

/** How long and how often an adapter asks a service. */
export interface RequestBounds {
  /** Requests in all for one call, the first one included; 4 by default. */
  readonly attemptsMax?: number;
  /** How long a request may give no sign of life, in milliseconds; 30,000 by default. */
  readonly silenceMsMax?: number;
  /** What is added for each MiB that a request sends, in milliseconds; 4,000 by default. */
  readonly perMiBMs?: number;
  /** The pause before the second request, in milliseconds; each later one is twice as long, and all vary by a half. 100 by default. */
  readonly firstPauseMs?: number;
}

/** One request: `signal` ends it, and `alive` is called whenever bytes of its answer have come. */
export type Attempt<T> = (request: { readonly signal: AbortSignal; readonly alive: () => void }) => Promise<T>;

/** What `Requests` takes besides the bounds. */
export interface RequestsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly bounds?: RequestBounds | undefined;
  /** What an error of the client is in our words; `doing` says what was tried, as "read the blob a/b". */
  readonly failureOf: (error: unknown, doing: string) => MementoError;
}

const MIB = 2 ** 20;

/**
 * Sends requests that end: each is given up after a time without a sign of life, and repeated while the service cannot be
 * reached (STORE_UNREACHABLE), a bounded number of times with growing pauses. So only what may be done twice goes through it.
 */
export class Requests {
  readonly #options: RequestsOptions;
  readonly #bounds: Required<RequestBounds>;

  constructor(options: RequestsOptions) {
    this.#options = options;
    const { attemptsMax = 4, silenceMsMax = 30_000, perMiBMs = 4_000, firstPauseMs = 100 } = options.bounds ?? {};
    this.#bounds = { attemptsMax, silenceMsMax, perMiBMs, firstPauseMs };
  }

  /** How long a request that sends so many bytes may give no sign of life, in milliseconds. */
  patienceMs(bytesSent: number): number {
    return Math.round(this.#bounds.silenceMsMax + (bytesSent / MIB) * this.#bounds.perMiBMs);
  }

  /** Sends a request, again where need be; gives what the first answered one gave. */
  async send<T>(doing: string, attempt: Attempt<T>, bytesSent = 0): Promise<T> {
    const { attemptsMax, firstPauseMs } = this.#bounds;
    for (let number = 1; ; number++) {
      try {
        return await this.#once(doing, attempt, this.patienceMs(bytesSent));
      } catch (error) {
        const failure = isMementoError(error) ? error : this.#options.failureOf(error, doing);
        if (failure.code !== "STORE_UNREACHABLE" || number >= attemptsMax) throw failure;
      }
      await this.#options.clock.sleep(firstPauseMs * 2 ** (number - 1) * this.#variation());
    }
  }

  async #once<T>(doing: string, attempt: Attempt<T>, patienceMs: number): Promise<T> {
    const { clock } = this.#options;
    const request = new AbortController();
    const ended = new AbortController();
    let lastSign = clock.monotonic();
    const alive = (): void => {
      lastSign = clock.monotonic();
    };
    const watch = async (): Promise<never> => {
      for (;;) {
        const left = lastSign + patienceMs - clock.monotonic();
        if (left <= 0) break;
        await clock.sleep(left, ended.signal);
      }
      const late = new MementoError("STORE_UNREACHABLE", `Could not ${doing}: nothing was heard for ${patienceMs} ms`);
      request.abort(late);
      throw late;
    };
    try {
      return await Promise.race([attempt({ signal: request.signal, alive }), watch()]);
    } finally {
      ended.abort();
    }
  }

  /** Between 0.5 and 1.5, so that many who were turned away together do not come back together. */
  #variation(): number {
    return 0.5 + (this.#options.random.bytes(1)[0] ?? 0) / 255;
  }
}
