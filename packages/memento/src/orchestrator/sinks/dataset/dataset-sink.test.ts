import { describe, test } from "vitest";

import { extent } from "../../../../../../test/harness/extent.ts";
import { datasetPlace, type KitDataset } from "../../../../../../test/workers/dataset-folder.ts";
import { testSink } from "../../../testing/sink/sink-kit.ts";

const sequences = extent({ plain: 2, all: 12 });

const WHOLE = "a file is one thing: with one changed row, all of its rows stay";

/** What the kit asks of single rows, where a file holds many; a file with a row of its own passes them. */
const ofSingleRows: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "foreign changes > names and keeps a row that was changed",
    "foreign changes > names a row that was deleted",
    "foreign changes > names and keeps a row that took the place of one that was reverted",
    "foreign changes > knows a row again that was changed and changed back",
    "foreign changes > takes them with force, after which none are left",
    "foreign changes > gives back what force took, when that is reverted",
    "foreign changes > names 100 of them and counts them all",
    "foreign changes > are not looked for in rows that the target keeps",
    "inspect() > gives a fingerprint that moves with every write and foreign change, and with nothing else",
    ...Array.from(
      { length: sequences },
      (_none, index) => `random writes, reverts and foreign changes on two timelines > sequence ${index + 1}`,
    ),
  ].map((name) => [name, WHOLE]),
);

const datasets: Record<string, KitDataset> = {
  "a file for each row": { options: { format: "jsonl", fileRowsMax: 1, mergeFiles: false, graceMs: 0 }, names: "file" },
  "JSONL, small files merged": { options: { format: "jsonl", mergeFiles: 2, graceMs: 0 }, names: "number" },
  "CSV, small files merged": { options: { format: "csv", mergeFiles: 3, graceMs: 0 }, names: "number" },
  "Parquet, small files merged": {
    options: { format: "parquet", mergeFiles: 2, rowGroupRows: 3_000, graceMs: 0 },
    names: "number",
  },
};

const workerModule = new URL("../../../../../../test/workers/dataset-folder.ts", import.meta.url);

for (const [at, [name, dataset]] of Object.entries(datasets).entries()) {
  // Stopped and killed are the first and the last; where everything is required, all of them.
  const isStopped = at % extent({ plain: 3, all: 1 }) === 0;

  describe(`datasetFolder(): ${name}`, () => {
    testSink({
      describe,
      test,
      mode: "append",
      place: datasetPlace(dataset),
      badRow: { row: { id: "bad", amount: () => 1, note: null }, code: "UNSUPPORTED_VALUE" },
      ...(isStopped ? { workerModule } : {}),
      sequences,
      // Each row is a file, which is synced before the next.
      ...(dataset.names === "number" ? { knownGaps: ofSingleRows } : { bulkRows: 300, killAfterMsMax: 3_000 }),
    });
  });
}
