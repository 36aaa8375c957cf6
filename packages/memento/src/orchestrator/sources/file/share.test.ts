import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { recordsFile } from "../records-file.ts";
import type { SourceBatch } from "../source.ts";

const data = (name: string): string => fileURLToPath(new URL(`../data/${name}`, import.meta.resolve("vega-datasets")));

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-share-"));
  writeFileSync(path.join(folder, "lines.jsonl"), Array.from({ length: 5_000 }, (_, id) => `{"id":${id}}\n`).join(""));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function batchesOf(file: string, from = {}): Promise<readonly SourceBatch<unknown>[]> {
  const source = recordsFile(file);
  const batches: SourceBatch<unknown>[] = [];
  for await (const batch of source.read({ from, batchRecords: 40, signal: new AbortController().signal }))
    batches.push(batch);
  await source.close();
  return batches;
}

describe("the share of a file that is read", () => {
  test.each([
    ["a CSV file", () => data("flights-airport.csv")],
    ["a JSON file", () => data("flights-2k.json")],
    ["a JSONL file", () => path.join(folder, "lines.jsonl")],
    [
      "a Parquet file",
      () => fileURLToPath(new URL("../../../../../../test/fixtures/parquet/movies-snappy.parquet", import.meta.url)),
    ],
  ])("grows with each batch of %s, up to all of it", async (_what, file) => {
    const batches = await batchesOf(file());
    const shares = batches.map(({ share }) => share ?? -1);
    expect(shares.length).toBeGreaterThan(2);
    expect(shares.toSorted((a, b) => a - b)).toEqual(shares);
    expect(shares[0]).toBeGreaterThan(0);
    expect(shares.at(-1)).toBeGreaterThan(0.99);
    expect(Math.max(...shares)).toBeLessThanOrEqual(1);
    const [first, second] = batches;
    const [resumed] = await batchesOf(file(), { "0": first?.offset });
    expect(resumed?.share).toBe(second?.share);
  });
});
