import assert from "node:assert/strict";

import type { SinkMark } from "../../orchestrator/sinks/sink.ts";
import { SeededRandom } from "../seeded-random.ts";
import {
  contentOf,
  type KitRow,
  type KitSink,
  row,
  type SinkKitOptions,
  type SinkLoan,
  type SinkTestGroup,
} from "./kit.ts";
import { foreignItems, SinkModel } from "./model.ts";

const SEQUENCES_DEFAULT = 12;
const STEPS = 40;
const TIMELINES = ["one", "two"];

/** A sink and its model, driven by the same random steps. */
class Sequence {
  readonly #loan: SinkLoan;
  readonly #random: SeededRandom;
  readonly #meddles: boolean;
  readonly #model = new SinkModel();
  readonly #sinks = new Map<string, KitSink>();
  /** The mark of each position. */
  readonly #marks = new Map<string, SinkMark[]>();
  /** The content at each position; what going back must give where nobody meddles. */
  readonly #contents = new Map<string, Record<string, KitRow>[]>();
  readonly #log: string[] = [];

  constructor(loan: SinkLoan, seed: number, meddles: boolean) {
    this.#loan = loan;
    this.#random = new SeededRandom(seed);
    this.#meddles = meddles;
    this.#log.push(`seed ${seed}`);
  }

  async run(): Promise<void> {
    for (const timeline of this.#meddles ? TIMELINES : TIMELINES.slice(0, 1)) {
      this.#sinks.set(timeline, await this.#loan.open(timeline));
      this.#marks.set(timeline, [null]);
      this.#contents.set(timeline, [{}]);
    }
    for (let step = 0; step < STEPS; step++) {
      const timeline = this.#pick([...this.#sinks.keys()]);
      const dice = this.#random.integer(10);
      if (dice < 5) await this.#write(timeline);
      else if (dice < 8 || !this.#meddles) await this.#revert(timeline);
      else await this.#meddle();
      if (this.#random.integer(8) === 0) await this.#reopen(timeline);
    }
  }

  async #write(timeline: string): Promise<void> {
    const ids = Array.from({ length: this.#random.integer(5) }, () => `r${this.#random.integer(12)}`);
    const rows = ids.map((id) => row(id, this.#random.integer(4), this.#random.integer(4) === 0 ? null : "n"));
    this.#log.push(`${timeline} writes ${JSON.stringify(rows)}`);
    const { mark } = await this.#sink(timeline).write(rows);
    const before = this.#model.table;
    const after = await this.#read();
    const isTouched = ([item, { id }]: [string, KitRow]): boolean =>
      this.#loan.options.mode === "append" ? !before.has(item) : ids.includes(id);
    const touched = [...after].filter(isTouched).map(([item]) => item);
    const wanted =
      this.#loan.options.mode === "append" ? rows : [...new Map(rows.map((one) => [one.id, one])).values()];
    const order = (list: readonly KitRow[]): string[] => list.map((one) => JSON.stringify(one)).toSorted();
    const written = touched.map((item) => after.get(item)).filter((one) => one !== undefined);
    assert.deepEqual(order(written), order(wanted), this.#story());
    assert.equal(after.size, before.size + touched.filter((item) => !before.has(item)).length, this.#story());
    this.#model.wrote(timeline, after, touched);
    await this.#note(timeline, mark);
  }

  async #revert(timeline: string): Promise<void> {
    const marks = this.#marks.get(timeline) ?? [];
    const position = this.#random.integer(marks.length);
    const force = this.#meddles && this.#random.integer(4) === 0;
    this.#log.push(`${timeline} goes back from ${marks.length - 1} to ${position}${force ? " with force" : ""}`);
    const mark = marks[position] ?? null;
    const sink = this.#sink(timeline);
    const ours = this.#model.movesTo(timeline, position, false);
    const inspection = await sink.sink.inspect(mark);
    const { remove: removed, restore: restored } = inspection;
    assert.deepEqual([{ removed, restored }, foreignItems(inspection)], [ours.counts, ours.foreign], this.#story());
    const expected = this.#model.movesTo(timeline, position, force);
    const reverted = await sink.revertTo(mark, { force });
    const counts = { removed: reverted.removed, restored: reverted.restored };
    assert.deepEqual([counts, foreignItems(reverted)], [expected.counts, force ? [] : expected.foreign], this.#story());
    assert.deepEqual(await this.#read(), expected.table, this.#story());
    if (marks.length === 1) return;
    this.#model.reverted(timeline, expected);
    await this.#note(timeline, reverted.mark);
    if (!this.#meddles) {
      assert.deepEqual(await contentOf(this.#loan.place), this.#contents.get(timeline)?.[position], this.#story());
    }
  }

  async #meddle(): Promise<void> {
    const { place } = this.#loan;
    const items = [...this.#model.table.keys()];
    if (items.length === 0) return;
    const item = this.#pick(items);
    const image =
      this.#random.integer(3) === 0 ? null : row(this.#model.table.get(item)?.id ?? "", 100 + this.#random.integer(4));
    this.#log.push(`somebody puts ${JSON.stringify(image)} at ${item}`);
    await place.meddle(item, image);
    this.#model.meddled(await this.#read());
  }

  async #reopen(timeline: string): Promise<void> {
    await this.#sink(timeline).sink.close();
    this.#sinks.set(timeline, await this.#loan.open(timeline));
  }

  async #note(timeline: string, mark: SinkMark): Promise<void> {
    assert.deepEqual(await this.#sink(timeline).sink.mark(), mark, this.#story());
    this.#marks.get(timeline)?.push(mark);
    this.#contents.get(timeline)?.push(await contentOf(this.#loan.place));
  }

  #sink(timeline: string): KitSink {
    const sink = this.#sinks.get(timeline);
    assert.ok(sink);
    return sink;
  }

  async #read(): Promise<ReadonlyMap<string, KitRow>> {
    return new Map(Object.entries(await contentOf(this.#loan.place)));
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random.integer(from.length)] as T;
  }

  /** What was done so far, for the message of a failure: it can be played again from its seed. */
  #story(): string {
    return this.#log.join("\n");
  }
}

function sequenceTests(meddles: boolean, sequences: number): Record<string, (loan: SinkLoan) => Promise<void>> {
  return Object.fromEntries(
    Array.from({ length: sequences }, (_, index) => [
      `sequence ${index + 1}`,
      async (loan: SinkLoan) => await new Sequence(loan, (loan.options.seed ?? 1) * 1_000 + index, meddles).run(),
    ]),
  );
}

/** Random steps on the sink and on a model of it, compared after each. */
export const sequenceGroups = ({ sequences = SEQUENCES_DEFAULT }: SinkKitOptions): readonly SinkTestGroup[] => [
  { method: "random writes and reverts, each to the state of its mark", tests: sequenceTests(false, sequences) },
  {
    method: "random writes, reverts and foreign changes on two timelines",
    appliesTo: ({ compensates }) => compensates !== true,
    tests: sequenceTests(true, sequences),
  },
];
