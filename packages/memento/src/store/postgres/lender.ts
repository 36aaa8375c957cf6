import type { Pool, PoolClient } from "pg";

import type { Clock } from "../../core/ports.ts";

/** A connection that was not used for this long, and at most for twice as long, goes back to the pool, in milliseconds. */
export const AT_HAND_MS = 1_000;

/**
 * Lends the connections of a pool. One that comes back stays at hand for the next borrower, past the pool's own
 * book-keeping, which costs as much as a small statement does: a run borrows after each of its stages.
 */
export class ConnectionLender {
  readonly #pool: Pool;
  readonly #owned: boolean;
  readonly #clock: Clock;
  readonly #heard = new WeakSet<PoolClient>();
  readonly #ended = new WeakSet<PoolClient>();
  #atHand: PoolClient | null = null;
  #usedSinceLook = false;
  #stopLooking: (() => void) | null = null;

  /** `owned`: nobody else takes connections from the pool, and it ends with the lender. */
  constructor(pool: Pool, owned: boolean, clock: Clock) {
    this.#pool = pool;
    this.#owned = owned;
    this.#clock = clock;
  }

  /** A connection for one piece of work; rejects as the pool does. */
  async borrow(): Promise<PoolClient> {
    const atHand = this.#atHand;
    if (atHand !== null) {
      this.#atHand = null;
      return atHand;
    }
    const client = await this.#pool.connect();
    if (!this.#heard.has(client)) {
      // A connection that ends while it is lent tells its statement so; one that ends behind that, or at hand, is lent no more.
      client.on("error", () => this.#forget(client));
      client.on("end", () => this.#forget(client));
      this.#heard.add(client);
    }
    return client;
  }

  /** Takes a connection back; `lost`: it is of no more use. */
  giveBack(client: PoolClient, lost: boolean): void {
    const isGone = lost || this.#ended.has(client);
    if (isGone || !this.#owned || this.#atHand !== null || this.#pool.waitingCount > 0 || this.#pool.ending) {
      client.release(isGone);
      return;
    }
    this.#atHand = client;
    this.#usedSinceLook = true;
    this.#stopLooking ??= this.#clock.every(AT_HAND_MS, () => this.#giveUpUnused());
  }

  /** Ends an owned pool, once all that was lent is back. */
  async close(): Promise<void> {
    if (!this.#owned) return;
    this.#stopLooking?.();
    const ending = this.#pool.end();
    this.#atHand?.release();
    this.#atHand = null;
    await ending;
  }

  #giveUpUnused(): void {
    if (this.#usedSinceLook) {
      this.#usedSinceLook = false;
      return;
    }
    // Lent just now, so that somebody does use it; or it ended, and the next one may come any time.
    if (this.#atHand === null) return;
    this.#stopLooking?.();
    this.#stopLooking = null;
    this.#atHand.release();
    this.#atHand = null;
  }

  #forget(client: PoolClient): void {
    this.#ended.add(client);
    if (this.#atHand !== client) return;
    this.#atHand = null;
    client.release(true);
  }
}
