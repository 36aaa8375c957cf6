/** What sinks keep for the way back does not grow with the number of runs. `MEMENTO_UNDO_RUNS=1000` makes so many. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { definePipeline, Memento, type Pipeline } from "@mementojs/memento";
import { duckdbTable, sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource } from "@mementojs/memento/sources";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const RUNS = Number(process.env["MEMENTO_UNDO_RUNS"] ?? 50);
const KEEP = 10;
const KEYS = 200;
/** Pages are taken and given back in larger lumps than rows are. */
const GROWTH_MAX = 1.3;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-undo-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const COLUMNS = { id: "INTEGER", text: "TEXT" } as const;

/** Each run puts a new text in every one of the same rows: what it takes to go back is as large as the table. */
function renewal(run: number, table: () => Sink): Pipeline {
  return definePipeline({
    name: "renewal",
    version: "1",
    sources: {
      rows: () =>
        iterableSource<{ id: number; text: string }>({
          name: "the rows",
          async *records(from) {
            for (let n = Number(from ?? 0) + 1; n <= run * KEYS; n++)
              yield { record: { id: n % KEYS, text: `${n} `.repeat(10) }, offset: n };
          },
        }),
    },
    sinks: { table },
    stages: (stage) => {
      const read = stage.read("read", { source: "rows" });
      const load = stage.write("load", { after: read, sink: "table" });
      return [read, load];
    },
  });
}

/** All that the sink has written, whatever it is called. */
function bytesIn(place: string): number {
  return readdirSync(place).reduce((sum, name) => sum + statSync(path.join(place, name)).size, 0);
}

describe("undo data", () => {
  test.each([
    [
      "a table in SQLite",
      (place: string) =>
        sqliteTable({ path: path.join(place, "t.db"), table: "t", mode: "upsert", key: "id", columns: COLUMNS }),
    ],
    [
      "a table in DuckDB",
      (place: string) =>
        duckdbTable({ path: path.join(place, "t.duckdb"), table: "t", mode: "upsert", key: "id", columns: COLUMNS }),
    ],
  ] as const)(
    `of %s: after ${RUNS} runs of which the last mementos are kept, about that of ${KEEP}`,
    async (name, open) => {
      const place = mkdtempSync(path.join(folder, "sink-"));
      await using memento = await Memento.open(`sqlite:${place}.db`);
      await memento.caretaker("pipelines").setPolicy({ keep: { last: KEEP } });
      let early = 0;
      for (let run = 1; run <= RUNS; run++) {
        await memento.run(
          renewal(run, () => open(place)),
          { key: `run-${run}` },
        );
        await memento.collect();
        if (run === 2 * KEEP) early = bytesIn(place);
      }
      expect(early, name).toBeGreaterThan(0);
      expect(bytesIn(place) / early, name).toBeLessThanOrEqual(GROWTH_MAX);
    },
    60_000 + RUNS * 1_000,
  );
});
