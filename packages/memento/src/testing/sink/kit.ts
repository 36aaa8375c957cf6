import assert from "node:assert/strict";

import { type ErrorCode, isMementoError } from "../../core/errors.ts";
import { systemClock } from "../../core/ports.ts";
import type { Sink, SinkMark, SinkReverted, SinkWritten } from "../../orchestrator/sinks/sink.ts";

/** The kit's own kind of row. `id` is the key of sinks that have one. */
export interface KitRow {
  readonly id: string;
  readonly amount: number;
  readonly note: string | null;
}

/** A place that sinks write to: a table in a database, a folder, a topic. Empty when it is made. */
export interface SinkPlace {
  /** A sink onto the place that is not open yet. Several may be open at once. It waits for the engine's lock only briefly. */
  sink(): Sink<KitRow>;
  /** Every row that is there, whoever wrote it, by the name that the sink gives to it in `ForeignChange.item`. */
  read(): Promise<ReadonlyMap<string, KitRow>>;
  /** Puts a row at `item`, in place of what is there, or takes it out with null: past the sink, as somebody else would. */
  meddle(item: string, row: KitRow | null): Promise<void>;
  /** What `kitSink` of the worker module needs to find the same place from another process. */
  readonly address: string;
  /** Takes the place away, after all of its sinks were closed. */
  dispose(): Promise<void>;
}

/** What `testSink` needs. */
export interface SinkKitOptions {
  /** Declares a test: the `test` of vitest, jest, node:test or the like. */
  readonly test: (name: string, run: () => Promise<void>, timeoutMs?: number) => unknown;
  readonly describe: (name: string, declare: () => void) => unknown;
  /** What a batch does with an `id` that is there already: add another row, or replace it. */
  readonly mode: "append" | "upsert";
  /** Makes a fresh, empty place; called for each test. */
  readonly place: () => Promise<SinkPlace>;
  /** A row that the sink must refuse, and the code it does so with. */
  readonly badRow: { readonly row: unknown; readonly code: ErrorCode };
  /**
   * A module that exports `kitSink(address, step): Sink<KitRow>`, loaded in processes that are stopped and killed. The sink
   * calls `step` before everything that it does to its place. Left out: nothing outlives a process, and no process is tested.
   */
  readonly workerModule?: URL;
  /** True: a process that is stopped inside a write keeps others out, who are told LOCKED. */
  readonly locksOut?: boolean;
  /** Tests that the sink is known to fail, by their full name ("revertTo() > takes ..."), each with its reason. Printed, not run. */
  readonly knownGaps?: Readonly<Record<string, string>>;
  /**
   * True: the sink calls somebody else, who takes calls back one by one. Where a process dies in a revert, whoever comes next
   * finishes it, and changes of others are not looked for.
   */
  readonly compensates?: boolean;
  /** How many rows the test of a large batch writes; 20,000 by default. Less for an engine that takes a millisecond for a row. */
  readonly bulkRows?: number;
  /** How many sequences of random steps each of the two groups has that compare the sink with a model of it; 12 by default. */
  readonly sequences?: number;
  /** How often the random kill test kills; 5 by default. */
  readonly kills?: number;
  /** How long a worker of that test is left alive at most, in milliseconds; 100 by default, in which most engines write 1,500 rows. */
  readonly killAfterMsMax?: number;
  /** Where all randomness of the kit starts; 1 by default. */
  readonly seed?: number;
}

/** What one test of the kit is lent. */
export interface SinkLoan {
  readonly options: SinkKitOptions;
  readonly place: SinkPlace;
  /** Opens a sink for a timeline (`one` by default); closed after the test. */
  open(timeline?: string): Promise<KitSink>;
}

/** The tests of one method, by their names. */
export interface SinkTestGroup {
  readonly method: string;
  /** Left out: for every sink. */
  readonly appliesTo?: (options: SinkKitOptions) => boolean;
  readonly timeoutMs?: number;
  readonly tests: Readonly<Record<string, (loan: SinkLoan) => Promise<void>>>;
}

/** A sink of a test, with shorter words: the epoch is 1 and tokens are new unless given. */
export class KitSink {
  readonly sink: Sink<KitRow>;
  epoch = 1;
  static #tokens = 0;

  constructor(sink: Sink<KitRow>) {
    this.sink = sink;
  }

  async write(rows: readonly KitRow[], token = KitSink.newToken(), records?: number): Promise<SinkWritten> {
    const write = { epoch: this.epoch, token, ...(records === undefined ? {} : { records }) };
    return await this.sink.write(rows, write);
  }

  async revertTo(mark: SinkMark, options: { force?: boolean; token?: string } = {}): Promise<SinkReverted> {
    const { force = false, token = KitSink.newToken() } = options;
    return await this.sink.revertTo(mark, { epoch: this.epoch, token }, { force });
  }

  /** A token that was not used before in this process. */
  static newToken(): string {
    KitSink.#tokens += 1;
    return `kit:0:write:${KitSink.#tokens}`;
  }
}

/** Declares groups of tests with the functions of the test framework; known gaps are printed in place of being run. */
export function declareSinkTests(options: SinkKitOptions, groups: readonly SinkTestGroup[]): void {
  const gapsLeft = new Set(Object.keys(options.knownGaps ?? {}));
  for (const { method, appliesTo, timeoutMs = 180_000, tests } of groups) {
    if (appliesTo !== undefined && !appliesTo(options)) continue;
    options.describe(method, () => {
      for (const [name, run] of Object.entries(tests)) {
        const fullName = `${method} > ${name}`;
        const gap = options.knownGaps?.[fullName];
        gapsLeft.delete(fullName);
        if (gap === undefined) options.test(name, async () => await withLoan(options, run), timeoutMs);
        else {
          options.test(`${name} (not run, a known gap: ${gap})`, async () =>
            process.emitWarning(`${fullName}: ${gap}`),
          );
        }
      }
    });
  }
  // Looked at when it runs: a framework may put off what a `describe` declares.
  options.test("every known gap names a test", async () => assert.deepEqual([...gapsLeft], []));
}

async function withLoan(options: SinkKitOptions, run: (loan: SinkLoan) => Promise<void>): Promise<void> {
  await using lent = new AsyncDisposableStack();
  const place = await options.place();
  lent.defer(async () => await place.dispose());
  const open = async (timeline = "one"): Promise<KitSink> => {
    const sink = place.sink();
    lent.defer(async () => await sink.close());
    await sink.open({ timeline, name: "kit", clock: systemClock, signal: new AbortController().signal });
    return new KitSink(sink);
  };
  await run({ options, place, open });
}

/** A row of the kit; what is left out follows from the id. */
export function row(id: string, amount = id.length, note: string | null = `note ${id}`): KitRow {
  return { id, amount, note };
}

/** The content of a place by item name, for comparison. */
export async function contentOf(place: SinkPlace): Promise<Record<string, KitRow>> {
  const rows = [...(await place.read())].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(rows.map(([item, { id, amount, note }]) => [item, { id, amount, note }]));
}

/** The ids that a place holds, sorted. */
export async function idsOf(place: SinkPlace): Promise<string[]> {
  return [...(await place.read()).values()].map(({ id }) => id).toSorted();
}

/** The name of the only row with this id. */
export async function itemOf(place: SinkPlace, id: string): Promise<string> {
  const found = [...(await place.read())].filter(([, { id: other }]) => other === id).map(([item]) => item);
  assert.equal(found.length, 1, `one row of id ${id}`);
  return found[0] ?? "";
}

/** Fails unless the call throws a MementoError of this code. */
export async function expectSinkCode(code: ErrorCode, call: () => Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    if (!isMementoError(error, code)) assert.fail(`expected ${code}, got ${String(error)}`);
    return true;
  });
}
