import path from "node:path";

import { definePipeline, type Pipeline } from "@mementojs/memento";
import { datasetFolder, postgresTable, sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource, type Source } from "@mementojs/memento/sources";

import { FileLedger } from "./moment-ledger.ts";

/** What the pipeline is to do, and what it is watched by. */
export interface MomentOptions {
  readonly folder: string;
  /** The PostgreSQL database of the sums; null: they are in SQLite. */
  readonly postgres: string | null;
  /** Loads the numbers up to here from each source. */
  readonly count: number;
  readonly wrap?: <Wrapped extends object>(name: string, target: Wrapped) => Wrapped;
}

/** Where a moment is read from. */
export const momentPlaces = (
  folder: string,
): { readonly left: string; readonly right: string; readonly sums: string; readonly ledger: string } => ({
  left: path.join(folder, "left.db"),
  right: path.join(folder, "right"),
  sums: path.join(folder, "sums.db"),
  ledger: path.join(folder, "ledger.db"),
});

/**
 * Two sources, three sinks and a ledger: the numbers of one go into a SQLite table that grows, those of the other into a dataset of Parquet
 * files, both into a table of PostgreSQL that is updated in place, and into the ledger. All of them, offsets and state always have to
 * describe the same moment.
 */
export function momentPipeline({ folder, postgres, count, wrap = (_name, target) => target }: MomentOptions): Pipeline {
  const places = momentPlaces(folder);
  const numbers = (name: string) => (): Source<number> =>
    iterableSource<number>({
      name,
      async *records(from) {
        for (let id = Number(from ?? 0) + 1; id <= count; id++) yield { record: id, offset: id };
      },
    });
  const sums = { table: "sums", mode: "upsert", key: ["side"] } as const;
  return definePipeline({
    name: "moment",
    version: "1",
    checkpoint: { records: 10 },
    batchRecords: 5,
    sources: { left: numbers("left"), right: numbers("right") },
    sinks: {
      left: (): Sink =>
        wrap("left", sqliteTable({ path: places.left, table: "left", mode: "append", columns: { id: "INTEGER" } })),
      right: (): Sink =>
        wrap("right", datasetFolder({ folder: places.right, format: "parquet", columns: { id: "integer" } })),
      sums: (): Sink =>
        wrap(
          "sums",
          postgres === null
            ? sqliteTable({ path: places.sums, ...sums, columns: { side: "TEXT", last: "INTEGER" } })
            : postgresTable({ url: postgres, ...sums, columns: { side: "text", last: "integer" } }),
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
