/** Runs of a pipeline over numbers, in memory: what the tests of the runner share. */
import { onTestFinished } from "vitest";

import type { Clock } from "../../packages/memento/src/core/ports.ts";
import { Memento } from "../../packages/memento/src/memento.ts";
import { definePipeline, type Pipeline } from "../../packages/memento/src/orchestrator/pipeline/pipeline.ts";
import type { CheckpointPolicy } from "../../packages/memento/src/orchestrator/pipeline/stage.ts";
import type { RunEvent } from "../../packages/memento/src/orchestrator/run/run-event.ts";
import { MemoryTable, type Sink } from "../../packages/memento/src/orchestrator/sinks/index.ts";
import type { Source } from "../../packages/memento/src/orchestrator/sources/source.ts";
import { MemoryStore } from "../../packages/memento/src/store/memory/index.ts";

export interface Row {
  readonly n: number;
}

/** The numbers from 1 to `count`; `failAt` throws once when that number is read. */
export function numbers(count: number, hooks: { before?: (n: number) => void } = {}): Source<Row> {
  return {
    kind: "numbers",
    schemaVersion: "1",
    describe: () => `the numbers to ${count}`,
    open: async () => undefined,
    close: async () => undefined,
    inspect: async (from, to) => ({
      available: true,
      problem: "",
      recordsBetween: Number(to["0"] ?? 0) - Number(from["0"] ?? 0),
    }),
    async *read({ from, batchRecords, signal }) {
      for (let next = Number(from["0"] ?? 0) + 1; next <= count;) {
        signal.throwIfAborted();
        const records: Row[] = [];
        for (; records.length < batchRecords && next <= count; next++) {
          hooks.before?.(next);
          records.push({ n: next });
        }
        yield { records, partition: "0", offset: next - 1 };
      }
    },
  };
}

export interface Bench {
  readonly memento: Memento;
  readonly store: MemoryStore;
  readonly data: MemoryTable<Row>;
  readonly events: RunEvent[];
  readonly onEvent: (event: RunEvent) => void;
}

export async function bench(clock?: Clock): Promise<Bench> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, {
    keys: { raw: [new Uint8Array(32).fill(7)] },
    ...(clock === undefined ? {} : { clock }),
  });
  onTestFinished(async () => await memento.close());
  const events: RunEvent[] = [];
  return { memento, store, data: new MemoryTable<Row>(), events, onEvent: (event) => void events.push(event) };
}

interface LoadOptions {
  readonly count?: number;
  readonly checkpoint?: CheckpointPolicy;
  readonly before?: (n: number) => void;
  readonly map?: (row: Row) => Row | undefined;
  readonly version?: string;
}

export function load(sink: () => Sink<Row>, options: LoadOptions = {}): Pipeline {
  const { count = 95, checkpoint = { records: 20 }, before, map = (row) => row, version = "1" } = options;
  return definePipeline({
    name: "load",
    version,
    checkpoint,
    batchRecords: 10,
    sources: { numbers: () => numbers(count, before === undefined ? {} : { before }) },
    sinks: { table: () => sink() },
    stages: (stage) => {
      const extract = stage.read("extract", { source: "numbers" });
      const transform = stage.map("transform", { after: extract, run: map });
      const write = stage.write("write", { after: transform, sink: "table" });
      const report = stage.task("report", { after: { write } }, (_context, { write: summary }) => ({
        rows: summary.recordsOut,
      }));
      return [extract, transform, write, report];
    },
  });
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
export const rowsOf = (data: MemoryTable<Row>): number[] => [...data.rows].map(({ n }) => n).toSorted((a, b) => a - b);
