import path from "node:path";

import { definePipeline, type Pipeline } from "@mementojs/memento";
import { sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource, type Source } from "@mementojs/memento/sources";

import { FileLedger } from "./moment-ledger.ts";

/** What the pipeline is to do, and what it is watched by. */
export interface MomentOptions {
  readonly folder: string;
  /** Loads the numbers up to here from each source. */
  readonly count: number;
  readonly wrap?: <Wrapped extends object>(name: string, target: Wrapped) => Wrapped;
}

/** The databases that a moment is read from. */
export const momentPlaces = (
  folder: string,
): { readonly tables: string; readonly sums: string; readonly ledger: string } => ({
  tables: path.join(folder, "tables.db"),
  sums: path.join(folder, "sums.db"),
  ledger: path.join(folder, "ledger.db"),
});

/**
 * Two sources, three sinks in two databases, and a ledger: numbers of each source go into a table that grows, into one that is updated
 * in place, and into the ledger. All of them, offsets and state always have to describe the same moment.
 */
export function momentPipeline({ folder, count, wrap = (_name, target) => target }: MomentOptions): Pipeline {
  const places = momentPlaces(folder);
  const numbers = (name: string) => (): Source<number> =>
    iterableSource<number>({
      name,
      async *records(from) {
        for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
      },
    });
  const table = (name: "left" | "right") => (): Sink =>
    wrap(name, sqliteTable({ path: places.tables, table: name, mode: "append", columns: { id: "INTEGER" } }));
  return definePipeline({
    name: "moment",
    version: "1",
    checkpoint: { records: 10 },
    batchRecords: 5,
    sources: { left: numbers("left"), right: numbers("right") },
    sinks: {
      left: table("left"),
      right: table("right"),
      sums: () =>
        wrap(
          "sums",
          sqliteTable({
            path: places.sums,
            table: "sums",
            mode: "upsert",
            key: ["side"],
            columns: { side: "TEXT", last: "INTEGER" },
          }),
        ),
    },
    participants: { ledger: () => wrap("ledger", new FileLedger(places.ledger)) },
    stages: (stage) => {
      const copy = (side: "left" | "right", after: Parameters<typeof stage.task>[1]) =>
        stage.task(`copy-${side}`, after, async (context) => {
          const ledger = context.participants["ledger"] as FileLedger;
          for await (const { records } of context.read(side)) {
            const ids = records as number[];
            await context.write(
              side,
              ids.map((id) => ({ id })),
            );
            await context.write("sums", [{ side, last: ids.at(-1) }]);
            await ledger.enter(ids.map((id) => `${side} ${id}`));
            context.state[side] = ids.at(-1);
          }
          return context.state[side];
        });
      const left = copy("left", {});
      return [left, copy("right", { after: { left } })];
    },
  });
}
