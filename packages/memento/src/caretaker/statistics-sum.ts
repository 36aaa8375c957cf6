import type { MementoEntry, MementoStatus } from "../core/memento.ts";
import { DurationHistogram, type Durations } from "../vault/duration-histogram.ts";

/** Runs of pipelines, each counted once, as its newest memento in the range has it. Removed mementos still tell of their runs. */
export interface RunStatistics {
  readonly count: number;
  /** How many runs stand where; `running` is also what a crashed run says until somebody resumes it. */
  readonly byStatus: Readonly<Partial<Record<MementoStatus, number>>>;
  /** Runs that were resumed at least once, and those of them that were completed. */
  readonly resumed: number;
  readonly resumedAndCompleted: number;
  /** `resumedAndCompleted / resumed`; null when none was resumed. */
  readonly resumeSuccessRate: number | null;
}

/** Counts, sizes and times. Of live mementos, where nothing else is said; bytes as the store's index has them. */
export interface MementoStatistics {
  readonly mementos: number;
  readonly timelines: number;
  /** Bytes that the states have, encoded, each counted whole. */
  readonly logicalBytes: number;
  /** Bytes that were written for them, before compression: unchanged pieces count once. */
  readonly heldBytes: number;
  /** Sealed bytes in the store; a pack of several mementos counts for each by its share. */
  readonly storedBytes: number;
  /** What increments save: `1 - heldBytes / logicalBytes`; 0 for nothing at all, and below 0 where states are smaller than what is said about them. */
  readonly savedShare: number;
  /** ISO 8601; null when there is none. */
  readonly oldest: string | null;
  readonly newest: string | null;
  /** Mementos that were removed; others may still need their bodies. */
  readonly removed: number;
  /** null by stage: a run has many of them. */
  readonly runs: RunStatistics | null;
  /** Milliseconds from one memento of a run to its next, by the clocks of their writers: the work that one checkpoint covers. null when there is none. */
  readonly stepMs: Durations | null;
  /** Milliseconds of the saves by this process alone, from the encoding to the acknowledgement; nothing is written down of them. null when it made none, and by stage and day. */
  readonly saveMs: Durations | null;
  /** The same of the states that it loaded. */
  readonly loadMs: Durations | null;
}

/** What one group of mementos adds up to so far. Mementos come newest first. */
export class StatisticsSum {
  readonly steps = new DurationHistogram();
  readonly #timelines = new Set<string>();
  readonly #statuses = new Map<MementoStatus, number>();
  storedBytes = 0;
  removed = 0;
  #mementos = 0;
  #logicalBytes = 0;
  #heldBytes = 0;
  #oldest: string | null = null;
  #newest: string | null = null;
  #runs = 0;
  #resumed = 0;
  #resumedAndCompleted = 0;

  /** Counts a live memento. */
  live({ timeline, sizes, created }: MementoEntry): void {
    this.#mementos += 1;
    this.#timelines.add(timeline);
    this.#logicalBytes += sizes.logicalBytes;
    this.#heldBytes += sizes.heldBytes;
    if (this.#oldest === null || created < this.#oldest) this.#oldest = created;
    if (this.#newest === null || created > this.#newest) this.#newest = created;
  }

  /** Counts a run, by its newest memento. */
  run({ status, resumeCount = 0 }: MementoEntry): void {
    this.#runs += 1;
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
    if (resumeCount === 0) return;
    this.#resumed += 1;
    if (status === "completed") this.#resumedAndCompleted += 1;
  }

  finish(withRuns: boolean, saves: DurationHistogram, loads: DurationHistogram): MementoStatistics {
    return {
      mementos: this.#mementos,
      timelines: this.#timelines.size,
      logicalBytes: this.#logicalBytes,
      heldBytes: this.#heldBytes,
      storedBytes: Math.round(this.storedBytes),
      savedShare: this.#logicalBytes === 0 ? 0 : 1 - this.#heldBytes / this.#logicalBytes,
      oldest: this.#oldest,
      newest: this.#newest,
      removed: this.removed,
      runs: withRuns ? this.#finishRuns() : null,
      stepMs: this.steps.durations(),
      saveMs: saves.durations(),
      loadMs: loads.durations(),
    };
  }

  #finishRuns(): RunStatistics {
    return {
      count: this.#runs,
      byStatus: Object.fromEntries(this.#statuses),
      resumed: this.#resumed,
      resumedAndCompleted: this.#resumedAndCompleted,
      resumeSuccessRate: this.#resumed === 0 ? null : this.#resumedAndCompleted / this.#resumed,
    };
  }
}
