import path from "node:path";

import { definePipeline, type Pipeline, type StageContext } from "@mementojs/memento";
import { sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource, type Source } from "@mementojs/memento/sources";

/** The pipeline in which everything that a stage can be comes together. */
export interface EverythingOptions {
  readonly folder: string;
  readonly concurrency: number;
  readonly wrap: (name: string, sink: Sink) => Sink;
}

/** The place of the tables that it loads. */
export const tablesPath = (folder: string): string => path.join(folder, "tables.db");

/** What it leaves, whatever befell it. */
export const EVERYTHING = {
  flow: upTo(40),
  odd: upTo(40).filter((id) => id % 2 === 1),
  even: [],
  copied: upTo(30),
  items: upTo(6).map((id) => id * 100),
  part: upTo(20),
  report: { items: upTo(6).map((id) => id * id), even: null, copied: 30, part: 20, approved: true },
} as const;

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

const numbers = (count: number) => (): Source<number> =>
  iterableSource<number>({
    name: `the numbers to ${count}`,
    async *records(from) {
      for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
    },
  });

type Tables = (name: string) => () => Sink<{ readonly id: number }>;

const rowsOf = (records: readonly unknown[]): { readonly id: number }[] =>
  (records as readonly number[]).map((id) => ({ id }));

/** The pipeline inside: copies twenty numbers. */
function part(table: Tables): Pipeline {
  return definePipeline({
    name: "part",
    version: "1",
    batchRecords: 5,
    checkpoint: { records: 10 },
    sources: { numbers: numbers(20) },
    sinks: { part: table("part") },
    stages: (stage) => [
      stage.task("load", async (context) => {
        for await (const { records } of context.read("numbers")) {
          await context.write("part", rowsOf(records));
          context.state["last"] = records.at(-1);
        }
        return context.state["last"];
      }),
    ],
  });
}

/** Copies what it reads, and fails twice in each process. */
function failingCopy(): (context: StageContext) => Promise<number> {
  let fails = 2;
  return async (context) => {
    for await (const { records } of context.read("copied")) {
      await context.write("copied", rowsOf(records));
      context.state["copied"] = records.at(-1);
      if (fails > 0 && Number(records.at(-1)) >= 15) {
        fails -= 1;
        throw new Error("the network hums");
      }
    }
    return Number(context.state["copied"]);
  };
}

const retry = { attempts: 100, initialMs: 1, maxMs: 2 };

/** A flow with branches, a copy that fails twice in each process, a list, a sleep, an approval and a pipeline inside. */
export function everything({ folder, concurrency, wrap }: EverythingOptions): Pipeline {
  const table: Tables = (name) => () =>
    wrap(name, sqliteTable({ path: tablesPath(folder), table: name, mode: "append", columns: { id: "INTEGER" } }));
  return definePipeline({
    name: "everything",
    version: "1",
    concurrency,
    batchRecords: 5,
    checkpoint: { records: 10 },
    sources: { flow: numbers(40), copied: numbers(30) },
    sinks: {
      flow: table("flow"),
      odd: table("odd"),
      even: table("even"),
      copied: table("copied"),
      items: table("items"),
    },
    stages: (stage) => {
      const read = stage.read("read", { source: "flow" });
      const rows = stage.map("rows", { after: read, run: (id) => ({ id }) });
      const odd = stage.map("odd", { after: rows, run: (row) => (row.id % 2 === 1 ? row : undefined) });
      const even = stage.map("even", { after: rows, when: () => false, run: (row) => row });
      const writeRows = stage.write("write rows", { after: rows, sink: "flow" });
      const writeOdd = stage.write("write odd", { after: odd, sink: "odd" });
      const writeEven = stage.write("write even", { after: even, sink: "even" });
      const copy = stage.task("copy", { after: [], retry, timeoutMs: 60_000 }, failingCopy());
      const items = stage.each("items", { items: () => upTo(6), concurrency: 2, retry }, async (context, item) => {
        // What stands before a sleep would happen again after a kill in it: its memento covers the write.
        await context.sleep("a moment", 1);
        await context.write("items", [{ id: item * 100 }]);
        return item * item;
      });
      const inner = stage.pipeline("inner", part(table));
      const ok = stage.approval("ok", { after: [copy, items] });
      const report = stage.task("report", { after: { items, copy, ok, writeEven, inner } }, (context, input) => ({
        items: input.items,
        even: input.writeEven ?? null,
        copied: context.state["copied"],
        part: input.inner["load"],
        approved: input.ok.approved,
      }));
      return [read, rows, writeRows, odd, writeOdd, even, writeEven, copy, items, inner, ok, report];
    },
  });
}
