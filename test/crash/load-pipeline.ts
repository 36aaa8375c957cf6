import path from "node:path";

import { definePipeline, type Pipeline } from "@mementojs/memento";
import { sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource } from "@mementojs/memento/sources";

/** What the pipeline of the crash tests is to do. */
export interface LoadOptions {
  readonly folder: string;
  /** Loads the numbers up to here. */
  readonly count: number;
  readonly wrap?: (name: string, sink: Sink) => Sink;
  /** Called for each record that is read. */
  readonly onRecord?: (id: number) => void | Promise<void>;
  readonly busyTimeoutMs?: number;
}

/** The place of the table that is loaded. */
export const tablePath = (folder: string): string => path.join(folder, "table.db");

/** Loads numbers into two tables: one that grows, one that is updated in place. State, offsets and both tables always have to agree. */
export function loadPipeline({
  folder,
  count,
  wrap = (_name, sink) => sink,
  onRecord,
  busyTimeoutMs = 5_000,
}: LoadOptions): Pipeline {
  const place = { path: tablePath(folder), busyTimeoutMs };
  return definePipeline({
    name: "load",
    version: "1",
    checkpoint: { records: 10 },
    batchRecords: 5,
    sources: {
      ids: () =>
        iterableSource<number>({
          name: "the numbers from 1 on",
          async *records(from) {
            for (let id = Number(from ?? 0) + 1; id <= count; id++) {
              await onRecord?.(id);
              yield { record: id, offset: id };
            }
          },
        }),
    },
    sinks: {
      items: () =>
        wrap(
          "items",
          sqliteTable({ ...place, table: "items", mode: "append", columns: { id: "INTEGER", text: "TEXT" } }),
        ),
      totals: () =>
        wrap(
          "totals",
          sqliteTable({
            ...place,
            table: "totals",
            mode: "upsert",
            key: ["bucket"],
            columns: { bucket: "INTEGER", last: "INTEGER" },
          }),
        ),
    },
    stages: (stage) => {
      const copy = stage.task("copy", async (context) => {
        for await (const { records } of context.read("ids")) {
          const ids = records as number[];
          await context.write(
            "items",
            ids.map((id) => ({ id, text: `item ${id}` })),
          );
          const last = new Map(ids.map((id) => [id % 3, id]));
          await context.write(
            "totals",
            [...last].map(([bucket, id]) => ({ bucket, last: id })),
          );
          context.state["loaded"] = ids.at(-1);
        }
        return context.state["loaded"];
      });
      const report = stage.task("report", { after: { copy } }, (_context, input) => ({ loaded: input.copy }));
      return [copy, report];
    },
  });
}
