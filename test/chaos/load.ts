import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

import {
  definePipeline,
  isMementoError,
  type Memento,
  type Pipeline,
  type RunEvent,
  type Stage,
} from "@mementojs/memento";
import { type Sink, sqliteTable } from "@mementojs/memento/sinks";

/** How a load is put on a store. */
export interface LoadOptions {
  readonly memento: Memento;
  /** For the tables of the pipelines that have one. */
  readonly folder: string;
  readonly pipelines: number;
  /** How many of them also write rows to a table of their own. */
  readonly withTable: number;
  /** New runs are started until it says so. */
  readonly isOver: () => boolean;
  /** Hears of each retryable error that ended a run, which is then resumed. */
  readonly onInterrupted?: () => void;
}

/** What a load came to. Every problem is a sentence; a store that keeps its promises gives none. */
export interface LoadReport {
  readonly runs: number;
  /** How often a run ended with a retryable error and was resumed. */
  readonly resumed: number;
  readonly problems: readonly string[];
}

const STAGES = 5;
const ROWS_A_STAGE = 3;
const PAUSE_MS = 50;
/** Longer than any engine here needs to come back, with many runs waiting for their leases. */
const PATIENCE_MS = 120_000;
/** How long a run waits for a lease whose holder's word got lost. */
const LEASE_MS = 5_000;

/**
 * Runs that many pipelines at once, each one run after the other, and resumes those that end with a retryable error. At the
 * end what the runs were told is compared with what the store holds.
 */
export async function runLoad(options: LoadOptions): Promise<LoadReport> {
  const workers = Array.from({ length: options.pipelines }, (_, index) => new Worker(options, index));
  await Promise.all(workers.map(async (worker) => await worker.work(options.isOver)));
  const problems: string[] = [];
  for (const worker of workers) problems.push(...(await worker.problems()));
  return {
    runs: workers.reduce((sum, { runs }) => sum + runs, 0),
    resumed: workers.reduce((sum, { resumed }) => sum + resumed, 0),
    problems,
  };
}

/** One pipeline, its runs, and what was acknowledged to them. */
class Worker {
  runs = 0;
  resumed = 0;
  readonly #memento: Memento;
  readonly #partition: string;
  readonly #table: string | null;
  readonly #onInterrupted: () => void;
  /** Mementos whose save was acknowledged. */
  readonly #acknowledged = new Set<string>();
  /** Stages whose end was acknowledged, as `run/stage`: they must never be run again. */
  readonly #done = new Set<string>();
  readonly #problems: string[] = [];
  /** When a run that has not come on by then is given up. */
  #deadline = 0;

  constructor({ memento, folder, withTable, onInterrupted = () => undefined }: LoadOptions, index: number) {
    this.#memento = memento;
    this.#onInterrupted = onInterrupted;
    this.#partition = `p${index}`;
    this.#table = index < withTable ? path.join(folder, `table-${index}.db`) : null;
  }

  async work(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#complete(`${this.#partition}-run-${this.runs}`);
      this.runs += 1;
    }
  }

  async #complete(key: string): Promise<void> {
    const pipeline = this.#pipeline(key);
    this.#deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        const result = await this.#memento.run(pipeline, {
          partition: this.#partition,
          key,
          leaseDurationMs: LEASE_MS,
          onEvent: (event) => this.#hear(key, event),
        });
        const sum = await result.output(`stage-${STAGES - 1}`);
        if (result.status !== "completed") this.#problems.push(`${key} ended ${result.status}`);
        if (sum !== expectedSum) this.#problems.push(`${key} came to ${String(sum)}, not ${expectedSum}`);
        return;
      } catch (error) {
        if (!isMementoError(error) || !error.retryable) throw error;
        if (performance.now() > this.#deadline) throw error;
        this.resumed += 1;
        this.#onInterrupted();
        await sleep(PAUSE_MS);
      }
    }
  }

  #hear(key: string, event: RunEvent): void {
    if (event.type !== "saved") return;
    this.#deadline = performance.now() + PATIENCE_MS;
    this.#acknowledged.add(event.entry.id);
    if (event.entry.reason === "stage") this.#done.add(`${key}/${event.entry.stage ?? ""}`);
  }

  #pipeline(key: string): Pipeline {
    const table = this.#table;
    const stageBody = async (name: string, before: number, write: (rows: readonly unknown[]) => Promise<void>) => {
      if (this.#done.has(`${key}/${name}`)) this.#problems.push(`${key}: ${name} was done, and was run again`);
      const rows = Array.from({ length: ROWS_A_STAGE }, (_, number) => ({ row: `${key}/${name}/${number}` }));
      if (table !== null) await write(rows);
      return before + 1;
    };
    const sinks: Readonly<Record<string, () => Sink>> = table === null ? {} : { rows: () => rowsOf(table) };
    return definePipeline({
      name: "load",
      version: "1",
      sinks,
      stages: (stage) => {
        const chain: Stage<number>[] = [];
        for (let index = 0; index < STAGES; index++) {
          const name = `stage-${index}`;
          const before = chain.at(-1);
          chain.push(
            before === undefined
              ? stage.task(
                  name,
                  async (context) => await stageBody(name, 0, async (rows) => await context.write("rows", rows)),
                )
              : stage.task(
                  name,
                  { after: { before } },
                  async (context, input) =>
                    await stageBody(name, input.before, async (rows) => await context.write("rows", rows)),
                ),
          );
        }
        return chain;
      },
    });
  }

  /** What the store, and the table, say otherwise than the runs were told. */
  async problems(): Promise<readonly string[]> {
    const problems = [...this.#problems];
    const entries = await Array.fromAsync(this.#memento.history({ name: "load" }, { partition: this.#partition }));
    const present = new Set(entries.map(({ id }) => id));
    for (const id of this.#acknowledged)
      if (!present.has(id)) problems.push(`${id} was acknowledged, and is not there`);
    const sequences = entries.map(({ sequence }) => sequence);
    if (sequences.some((sequence, index) => sequence !== entries.length - index))
      problems.push(`${this.#partition} has the sequence ${sequences.join(" ")}`);
    for (let run = 0; run < this.runs; run++) {
      const key = `${this.#partition}-run-${run}`;
      const own = entries.filter((entry) => entry.run === key);
      const ends = own.filter(({ status }) => status === "completed").length;
      if (ends !== 1) problems.push(`${key} is completed ${ends} times`);
      const stages = own.filter(({ reason }) => reason === "stage").map(({ stage }) => stage);
      if (stages.length !== STAGES || new Set(stages).size !== STAGES)
        problems.push(`${key} has the stages ${stages.join(" ")}`);
    }
    if (this.#table !== null) problems.push(...this.#tableProblems(this.#table));
    return problems;
  }

  #tableProblems(file: string): readonly string[] {
    using database = new DatabaseSync(file, { readOnly: true });
    const rows = database.prepare("SELECT count(*) AS n, count(DISTINCT row) AS d FROM load_rows").get();
    const expected = this.runs * STAGES * ROWS_A_STAGE;
    if (rows?.["n"] === expected && rows["d"] === expected) return [];
    return [
      `${this.#partition} has ${String(rows?.["n"])} rows, ${String(rows?.["d"])} different ones, of ${expected}`,
    ];
  }
}

const expectedSum = STAGES;

const rowsOf = (file: string): Sink =>
  sqliteTable({ path: file, table: "load_rows", mode: "append", columns: { row: "TEXT" } });
