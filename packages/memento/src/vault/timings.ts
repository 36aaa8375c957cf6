import { DurationHistogram } from "./duration-histogram.ts";

/** What is timed: a save from its encoding to the store's acknowledgement, a load from the first read to the whole state. */
export type TimedWork = "save" | "load";

/** Whose work it was. */
export interface TimedBy {
  readonly caretaker: string;
  readonly originator: string;
}

interface TimedOriginator extends TimedBy {
  readonly save: DurationHistogram;
  readonly load: DurationHistogram;
}

/** Originators that are told apart; those above are counted together under the empty name, for each caretaker. */
const ORIGINATORS_MAX = 1_000;

/** How long the saves and loads of one open vault took: kept in memory alone, and gone with the process. Adding one costs well below a microsecond. */
export class Timings {
  readonly #originators = new Map<string, TimedOriginator>();

  add(work: TimedWork, { caretaker, originator }: TimedBy, ms: number): void {
    const known = this.#originators.get(`${caretaker}\n${originator}`);
    const own = known ?? this.#make(caretaker, this.#originators.size < ORIGINATORS_MAX ? originator : "");
    own[work].add(ms);
  }

  /** All durations of those for whom `wanted` is true. */
  collect(work: TimedWork, wanted: (by: TimedBy) => boolean): DurationHistogram {
    const all = new DurationHistogram();
    for (const own of this.#originators.values()) if (wanted(own)) all.merge(own[work]);
    return all;
  }

  #make(caretaker: string, originator: string): TimedOriginator {
    const key = `${caretaker}\n${originator}`;
    const known = this.#originators.get(key);
    if (known !== undefined) return known;
    const made = { caretaker, originator, save: new DurationHistogram(), load: new DurationHistogram() };
    this.#originators.set(key, made);
    return made;
  }
}
