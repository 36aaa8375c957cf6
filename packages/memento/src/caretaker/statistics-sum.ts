import type { MementoEntry, MementoStatus } from "../core/memento.ts";
import { DurationHistogram } from "../vault/duration-histogram.ts";
import type { MementoStatistics, RunStatistics } from "./statistics.ts";

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
