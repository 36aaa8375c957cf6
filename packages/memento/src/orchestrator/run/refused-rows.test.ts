import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { Memento } from "../../memento.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { sqliteTable } from "../sinks/sqlite/index.ts";
import { iterableSource } from "../sources/index.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-refused-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

test.each([
  { batchRecords: 10, row: 4, from: 20, to: 30, made: "the 10 records of source numbers after 20, up to 30" },
  { batchRecords: 1, row: 0, from: 24, to: 25, made: "the one record of source numbers after 24, up to 25" },
])("a refused row is told with its sink and with $made", async ({ batchRecords, row, made, ...offsets }) => {
  const pipeline = definePipeline({
    name: "load",
    version: "1",
    batchRecords,
    sources: {
      numbers: () =>
        iterableSource<number>({
          name: "the numbers from 1 on",
          *records(from) {
            for (let id = Number(from ?? 0) + 1; id <= 40; id++) yield { record: id, offset: id };
          },
        }),
    },
    sinks: {
      table: () =>
        sqliteTable({ path: path.join(folder, "t.db"), table: "t", mode: "append", columns: { id: "INTEGER" } }),
    },
    stages: (stage) => {
      const read = stage.read("read", { source: "numbers" });
      const rows = stage.map("rows", { after: read, run: (id) => ({ id: id === 25 ? Number.NaN : id }) });
      return [read, rows, stage.write("write", { after: rows, sink: "table" })];
    },
  });
  await using memento = await Memento.open("memory:");
  const failure = await memento.run(pipeline).catch((error: unknown) => error);
  expect(failure).toMatchObject({
    code: "UNSUPPORTED_VALUE",
    message: expect.stringMatching(
      new RegExp(`^Sink table \\(sqlite table t in .*t\\.db\\): rows\\[${row}\\].*; it was made of ${made}$`, "u"),
    ),
    details: { sink: "table", batch: { source: "numbers", records: batchRecords, ...offsets } },
  });
});
