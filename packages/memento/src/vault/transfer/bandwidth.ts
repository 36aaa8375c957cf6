import type { Clock } from "../../core/ports.ts";

/** Keeps what goes through below so many bytes a second, on the average since it began. */
export class Bandwidth {
  readonly #clock: Pick<Clock, "monotonic" | "sleep">;
  readonly #bytesPerSecond: number | null;
  readonly #startedMs: number;
  #bytes = 0;

  /** null: no limit. */
  constructor(clock: Pick<Clock, "monotonic" | "sleep">, bytesPerSecond: number | null) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#startedMs = clock.monotonic();
  }

  /** Counts bytes that went through, and waits until there is room for more. Rejects with the signal's reason. */
  async passed(bytes: number, signal?: AbortSignal): Promise<void> {
    if (this.#bytesPerSecond === null) return;
    this.#bytes += bytes;
    const dueMs = this.#startedMs + (this.#bytes * 1_000) / this.#bytesPerSecond;
    const waitMs = dueMs - this.#clock.monotonic();
    if (waitMs > 0) await this.#clock.sleep(waitMs, signal);
  }
}
