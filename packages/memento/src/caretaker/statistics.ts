import type { MementoEntry } from "../core/memento.ts";
import { isPart, mementoQuery, PART_LABEL, STREAM_LABEL } from "../store/query.ts";
import type { IndexRow } from "../store/store.ts";
import type { DurationHistogram } from "../vault/duration-histogram.ts";
import type { TimedWork } from "../vault/timings.ts";
import type { Vault } from "../vault/vault.ts";
import { momentText } from "./moment.ts";
import { groupingBy, type Grouping, type StatisticsBy } from "./statistics-grouping.ts";
import { StatisticsSum, type MementoStatistics } from "./statistics-sum.ts";

/** Which mementos to count, and how to group them. */
export interface StatisticsOptions {
  /** Default `caretaker`. `pipeline` and `stage` look at pipelines only. */
  readonly by?: StatisticsBy;
  /** Only this caretaker. */
  readonly caretaker?: string;
  /** Created from this moment on: ISO 8601, a day (from its beginning in UTC) or a time with its zone. INVALID_ARGUMENT for anything else. */
  readonly since?: string;
  /** Created before this moment, written the same way. */
  readonly until?: string;
  /** The time zone that days are told apart in, by its IANA name. Default UTC. INVALID_ARGUMENT for an unknown one. */
  readonly timeZone?: string;
}

/** The statistics of one caretaker, pipeline, stage or day. */
export interface StatisticsGroup extends MementoStatistics {
  /** `etl`, `etl/flights`, `etl/flights/load`, or `2026-01-31`. */
  readonly key: string;
}

/** Statistics of a store, in all and by groups; groups in the order of their keys. */
export interface StatisticsReport {
  readonly by: StatisticsBy;
  readonly total: MementoStatistics;
  readonly groups: readonly StatisticsGroup[];
}

/**
 * Counts what a store's index lists: nothing is opened, so it needs about 10 microseconds a memento, and no more memory
 * than some 100 bytes for each run, timeline and live stream. It judges what was there when it came by.
 *
 * What gc has taken of removed mementos is not in any size. What the chunks of a large stream take in the
 * store counts with the stream; those that only a removed stream brought in count for nobody, though later ones may share them.
 */
export async function collectStatistics(vault: Vault, options: StatisticsOptions = {}): Promise<StatisticsReport> {
  const { by = "caretaker", timeZone = "UTC", since, until } = options;
  const range = {
    ...options,
    ...(since === undefined ? {} : { since: momentText(since, "since") }),
    ...(until === undefined ? {} : { until: momentText(until, "until") }),
  };
  const walk = new StatisticsWalk(groupingBy(by, timeZone), range);
  const query = mementoQuery({ caretaker: options.caretaker ?? null, removed: true });
  for await (const row of vault.store.query(query)) walk.take(row);
  return walk.report(vault, by);
}

/** A memento of a run. */
interface Step {
  readonly sequence: number;
  readonly created: string;
  readonly run: string | undefined;
  readonly key: string;
}

class StatisticsWalk {
  readonly #grouping: Grouping;
  readonly #options: StatisticsOptions;
  readonly #total = new StatisticsSum();
  readonly #groups = new Map<string, StatisticsSum>();
  readonly #runs = new Set<string>();
  /** Streams that live, and their group: the log is read from its end, so a stream comes before its parts. */
  readonly #streams = new Map<string, string>();
  /** The memento after the one to come, on each timeline. */
  readonly #steps = new Map<string, Step>();
  /** Rows of the pack that is going by: what it weighs is known to be shared only when it has passed. */
  #pack: IndexRow[] = [];

  constructor(grouping: Grouping, options: StatisticsOptions) {
    this.#grouping = grouping;
    this.#options = options;
  }

  take(row: IndexRow): void {
    if (this.#pack[0]?.pack !== row.pack) this.#closePack();
    this.#pack.push(row);
    const { entry, removed } = row;
    if (isPart(entry)) return;
    const key = this.#grouping.keyOf(entry);
    if (key !== null) this.#step(key, entry);
    if (key === null || !this.#isInRange(entry.created)) return;
    for (const sum of this.#sums(key)) {
      if (removed) sum.removed += 1;
      else sum.live(entry);
    }
    const stream = entry.labels[STREAM_LABEL];
    if (stream !== undefined && !removed) this.#streams.set(stream, key);
    // The key of a run may be that of another pipeline's too.
    const run = entry.run === undefined ? null : `${entry.timeline} ${entry.run}`;
    if (run !== null && !this.#runs.has(run)) {
      this.#runs.add(run);
      for (const sum of this.#sums(key)) sum.run(entry);
    }
  }

  report(vault: Vault, by: StatisticsBy): StatisticsReport {
    this.#closePack();
    const times = (work: TimedWork, key: string | null): DurationHistogram =>
      vault.timings.collect(work, (timed) => {
        const { caretaker } = this.#options;
        if (caretaker !== undefined && timed.caretaker !== caretaker) return false;
        return key === null || this.#grouping.keyOfTimed(timed) === key;
      });
    const finished = (sum: StatisticsSum, key: string | null): MementoStatistics =>
      sum.finish(by !== "stage", times("save", key), times("load", key));
    const groups = [...this.#groups].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return {
      by,
      total: finished(this.#total, null),
      groups: groups.map(([key, sum]) => ({ key, ...finished(sum, key) })),
    };
  }

  #sums(key: string): readonly StatisticsSum[] {
    const group = this.#groups.get(key) ?? new StatisticsSum();
    this.#groups.set(key, group);
    return [this.#total, group];
  }

  #step(key: string, { timeline, sequence, created, run }: MementoEntry): void {
    const next = this.#steps.get(timeline);
    this.#steps.set(timeline, { key, sequence, created, run });
    if (next?.sequence !== sequence + 1 || run === undefined || next.run !== run || !this.#isInRange(next.created))
      return;
    const ms = Date.parse(next.created) - Date.parse(created);
    // Clocks may be set back between two saves; that is no duration.
    if (ms >= 0) for (const sum of this.#sums(next.key)) sum.steps.add(ms);
  }

  #closePack(): void {
    const [first] = this.#pack;
    if (first === undefined) return;
    const share = first.packBytes / this.#pack.length;
    for (const { entry, removed } of this.#pack) {
      const part = entry.labels[PART_LABEL];
      const key =
        part === undefined ? (removed ? null : this.#grouping.keyOf(entry)) : (this.#streams.get(part) ?? null);
      if (key === null || (part === undefined && !this.#isInRange(entry.created))) continue;
      for (const sum of this.#sums(key)) sum.storedBytes += share;
    }
    this.#pack = [];
  }

  #isInRange(created: string): boolean {
    const { since = "", until } = this.#options;
    return created >= since && (until === undefined || created < until);
  }
}
