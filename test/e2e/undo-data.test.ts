/** What sinks keep for the way back does not grow with the number of runs. `MEMENTO_UNDO_RUNS=1000` makes so many. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";

import { DuckDBInstance } from "@duckdb/node-api";
import { definePipeline, Memento, type Pipeline } from "@mementojs/memento";
import { duckdbTable, sqliteTable, type Sink } from "@mementojs/memento/sinks";
import { iterableSource } from "@mementojs/memento/sources";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const RUNS = Number(process.env["MEMENTO_UNDO_RUNS"] ?? 30);
const KEEP = 10;
const KEYS = 200;
const GROWTH_MAX = 1.1;
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

interface Kind {
  readonly open: (place: string) => Sink;
  /** How many rows it keeps beside the table's own, by the table that they are in. */
  readonly kept: (place: string) => Promise<ReadonlyMap<string, number>>;
}

const settings = { table: "t", mode: "upsert", key: "id", columns: COLUMNS } as const;

const KINDS: Readonly<Record<string, Kind>> = {
  SQLite: {
    open: (place) => sqliteTable({ path: place, ...settings }),
    kept: async (place) => {
      using database = new DatabaseSync(place, { readOnly: true });
      const tables = database.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'memento_sink%'",
      );
      const count = (name: string): number =>
        Number(database.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.["n"]);
      const names = tables.all().map(({ name }) => String(name));
      return new Map(names.map((name) => [name.slice("memento_sink_".length), count(name)]));
    },
  },
  DuckDB: {
    open: (place) => duckdbTable({ path: place, ...settings }),
    kept: async (place) => {
      const instance = await DuckDBInstance.create(place, { access_mode: "READ_ONLY" });
      const connection = await instance.connect();
      try {
        const tables = await connection.runAndReadAll(
          "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'memento_sink'",
        );
        const rows = new Map<string, number>();
        for (const [name] of tables.getRows()) {
          const counted = await connection.runAndReadAll(`SELECT count(*) FROM memento_sink."${String(name)}"`);
          rows.set(String(name), Number(counted.getRows()[0]?.[0]));
        }
        return rows;
      } finally {
        connection.closeSync();
        instance.closeSync();
      }
    },
  },
};

function undoRows(kept: ReadonlyMap<string, number>): number {
  return [...kept].reduce((sum, [, rows]) => sum + rows, 0);
}

describe("undo data", () => {
  test.each(Object.keys(KINDS))(
    `of a table in %s: after ${RUNS} runs of which the last ${KEEP} mementos are kept, about that of the first ones`,
    async (name) => {
      const { open, kept } = KINDS[name] as Kind;
      const place = path.join(folder, name);
      await using memento = await Memento.open(`sqlite:${place}.store`);
      await memento.caretaker("pipelines").setPolicy({ keep: { last: KEEP } });
      let early = 0;
      for (let run = 1; run <= RUNS; run++) {
        await memento.run(
          renewal(run, () => open(place)),
          { key: `run-${run}` },
        );
        await memento.collect();
        if (run === KEEP) early = undoRows(await kept(place));
      }
      // The images of the rows that were there before, one for each.
      expect(early).toBeGreaterThan(KEYS);
      expect(undoRows(await kept(place)) / early).toBeLessThanOrEqual(GROWTH_MAX);
    },
    60_000 + RUNS * 1_000,
  );
});
