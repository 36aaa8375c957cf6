import { isMementoError } from "../../core/errors.ts";
import { firstError } from "../../core/first-error.ts";
import { decodeHeader } from "../../store/header.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import type { CopyReport } from "./copy-report.ts";
import { copyLines, type CopyOptions } from "./copy-store.ts";

/** How to keep one store like another. */
export interface SyncOptions extends Pick<CopyOptions, "bytesPerSecond" | "delete" | "signal" | "onProgress"> {
  /** Only this caretaker. */
  readonly caretaker?: string;
  /** True: goes on until the signal is aborted. Default false: one round. */
  readonly watch?: boolean;
  /** How long to wait between two rounds; default 5,000 ms. */
  readonly intervalMs?: number;
  /** Told of each round that has found something to do, and of the first one. */
  readonly onRound?: (report: CopyReport) => void;
  /** Told of a round that failed and that is tried again: a store that cannot be reached, or others who do maintenance. */
  readonly onFailedRound?: (error: unknown) => void;
}

const INTERVAL_MS = 5_000;

/**
 * Makes the target what the source is, caretakers' policies and pins included; removals too with `delete`. The first round
 * compares all of both stores by their digests. With `watch` it then follows the source's log from where it was before that
 * round, so that nothing is missed: each round copies what the log speaks of and reads it again in both stores. A round that
 * fails for now is repeated from the same place in the log. Ends with the signal's reason; what `copyStore` raises.
 */
export async function syncStores(from: Vault, to: Vault, options: SyncOptions = {}): Promise<CopyReport> {
  const { caretaker, watch = false, intervalMs = INTERVAL_MS, onRound, onFailedRound, signal } = options;
  const copying: CopyOptions = {
    ...options,
    ...(caretaker === undefined ? {} : { selection: { caretaker } }),
    followSettings: true,
  };
  const feed = watch ? await ChangeFeed.fromEnd(from, signal) : null;
  const first = await firstError(async () => await copyLines(from, to, copying, null));
  onRound?.(first);
  if (feed === null) return first;
  for (;;) {
    await from.clock.sleep(intervalMs, signal);
    try {
      const changes = await feed.read(signal);
      if (changes === null) continue;
      const round = { ...copying, verify: "new" } as const;
      const report = await firstError(async () => await copyLines(from, to, round, changes.timelines));
      changes.done();
      onRound?.(report);
    } catch (error) {
      if (signal?.aborted === true || !isTemporary(error)) throw error;
      onFailedRound?.(error);
    }
  }
}

/** True where the next round may succeed without anybody's help. */
function isTemporary(error: unknown): boolean {
  return isMementoError(error) && (error.retryable || error.code === "LOCKED" || error.code === "CONFLICT");
}

/** Timelines of which a log spoke. */
interface Changes {
  readonly timelines: ReadonlySet<string>;
  /** Says that all of it was copied: it is not told again. */
  done(): void;
}

/** Follows a log by its cursor. */
class ChangeFeed {
  readonly #vault: Vault;
  #cursor: string | null;

  private constructor(vault: Vault, cursor: string | null) {
    this.#vault = vault;
    this.#cursor = cursor;
  }

  /** Stands at the log's present end. */
  static async fromEnd(vault: Vault, signal: AbortSignal | undefined): Promise<ChangeFeed> {
    const turns = new Turns(vault.clock);
    let last: string | null = null;
    for await (const { cursor } of vault.store.commits(null)) {
      await turns.take(signal);
      last = cursor;
    }
    return new ChangeFeed(vault, last);
  }

  /** What came since; null for nothing. The same is told again until it is done. */
  async read(signal: AbortSignal | undefined): Promise<Changes | null> {
    const timelines = new Set<string>();
    const turns = new Turns(this.#vault.clock);
    let last = this.#cursor;
    for await (const { cursor, header: bytes } of this.#vault.store.commits(this.#cursor)) {
      await turns.take(signal);
      last = cursor;
      const header = decodeHeader(bytes, "a commit of the log");
      if (header.type === "pack") for (const { timeline } of header.entries) timelines.add(timeline);
      else if (header.notice.timeline !== null) timelines.add(header.notice.timeline);
    }
    if (last === this.#cursor) return null;
    const end = last;
    const done = (): void => {
      this.#cursor = end;
    };
    return { timelines, done };
  }
}
