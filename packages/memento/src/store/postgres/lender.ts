import type { Pool, PoolClient } from "pg";

/** How long a connection stays at hand unused before the pool has it again, in milliseconds. */
const AT_HAND_MS = 1_000;

/**
 * Lends the connections of a pool. One that comes back stays at hand for the next borrower, past the pool's own
 * book-keeping, which costs as much as a small statement does: a run borrows after each of its stages.
 */
export class ConnectionLender {
  readonly #pool: Pool;
  readonly #owned: boolean;
  readonly #heard = new WeakSet<PoolClient>();
  #atHand: PoolClient | null = null;
  #usedSinceLook = false;
  #look: NodeJS.Timeout | null = null;

  /** `owned`: nobody else takes connections from the pool, and it ends with the lender. */
  constructor(pool: Pool, owned: boolean) {
    this.#pool = pool;
    this.#owned = owned;
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
      // A connection that ends while it is lent tells its statement so; one that ends at hand is lent no more.
      client.on("error", () => this.#forget(client));
      client.on("end", () => this.#forget(client));
      this.#heard.add(client);
    }
    return client;
  }

  /** Takes a connection back; `lost`: it is of no more use. */
  giveBack(client: PoolClient, lost: boolean): void {
    if (lost || !this.#owned || this.#atHand !== null || this.#pool.waitingCount > 0 || this.#pool.ending) {
      client.release(lost);
      return;
    }
    this.#atHand = client;
    this.#usedSinceLook = true;
    this.#look ??= setTimeout(() => this.#lookAtIt(), AT_HAND_MS).unref();
  }

  /** Ends an owned pool, once all that was lent is back. */
  async close(): Promise<void> {
    if (!this.#owned) return;
    if (this.#look !== null) clearTimeout(this.#look);
    const ending = this.#pool.end();
    this.#atHand?.release();
    this.#atHand = null;
    await ending;
  }

  #lookAtIt(): void {
    this.#look = null;
    if (this.#atHand === null) return;
    if (this.#usedSinceLook) {
      this.#usedSinceLook = false;
      this.#look = setTimeout(() => this.#lookAtIt(), AT_HAND_MS).unref();
      return;
    }
    this.#atHand.release();
    this.#atHand = null;
  }

  #forget(client: PoolClient): void {
    if (this.#atHand !== client) return;
    this.#atHand = null;
    client.release(true);
  }
}
