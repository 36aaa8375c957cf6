import { appendFile, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import zlib from "node:zlib";

import { describe, expect, test } from "vitest";

import { withFolder } from "../../../../../../test/harness/source-reading.ts";
import { isMementoError, type MementoError } from "../../../core/errors.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { csvFile } from "../csv/csv-file.ts";
import { fromIterable } from "../iterable/iterable-source.ts";
import type { Source, SourceBatch, SourceOffset, SourceOffsets } from "../source.ts";
import { folderFiles } from "./folder-files.ts";
import { globFilter } from "./glob.ts";

interface Reading {
  readonly records: unknown[];
  readonly batches: SourceBatch<unknown>[];
  readonly offsets: SourceOffsets;
  readonly error: MementoError | null;
}

/** Reads on from offsets by partition, as a run does. */
async function read(source: Source, from: SourceOffsets = {}, batchRecords = 2, only?: string): Promise<Reading> {
  const batches: SourceBatch<unknown>[] = [];
  const offsets: Record<string, SourceOffset> = { ...from };
  let error: MementoError | null = null;
  try {
    const signal = new AbortController().signal;
    for await (const batch of source.read({ from, batchRecords, signal, ...(only === undefined ? {} : { only }) })) {
      batches.push(batch);
      offsets[batch.partition] = batch.offset;
    }
  } catch (caught) {
    if (!isMementoError(caught)) throw caught;
    error = caught;
  }
  return { records: batches.flatMap(({ records }) => records), batches, offsets, error };
}

const lines = (...values: unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** Lends a folder with files of every kind; their records are 1 to 12 in the order of the names. */
async function withInbox(work: (folder: string, source: Source<number>) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await mkdir(path.join(folder, "b"));
    await writeFile(path.join(folder, "a.jsonl"), lines(1, 2, 3));
    await writeFile(path.join(folder, "b", "1.jsonl.gz"), zlib.gzipSync(lines(4, 5, 6, 7)));
    await writeFile(path.join(folder, "b", "2.json"), "[8,9]");
    await writeFile(path.join(folder, "c.ndjson"), lines(10, 11, 12));
    await writeFile(path.join(folder, ".hidden.jsonl"), lines(0));
    await work(folder, folderFiles<number>({ folder }));
  });
}

const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe("folderFiles()", () => {
  test("reads all files by their names, and goes on after every batch", async () => {
    await withInbox(async (folder, source) => {
      const whole = await read(source);
      expect(whole).toMatchObject({ error: null, records: upTo(12) });
      expect([...new Set(whole.batches.map(({ partition }) => partition))]).toEqual([
        "a.jsonl",
        "b/1.jsonl.gz",
        "b/2.json",
        "c.ndjson",
      ]);
      const shares = whole.batches.map(({ share }) => share ?? -1);
      expect(shares.toSorted((a, b) => a - b)).toEqual(shares);
      expect(shares.at(-1)).toBe(1);
      const from: Record<string, SourceOffset> = {};
      let count = 0;
      for (const { partition, offset, records } of whole.batches) {
        from[partition] = offset;
        count += records.length;
        const rest = await read(source, from, 3);
        expect(rest).toMatchObject({ error: null, records: upTo(12, count + 1) });
        const between = { available: true, problem: "", recordsBetween: 12 - count };
        expect(await source.inspect(from, whole.offsets)).toEqual(between);
      }
      const again = folderFiles({ folder: pathToFileURL(folder) });
      expect(await read(again, whole.offsets)).toMatchObject({ error: null, records: [] });
    });
  });

  test("gives a batch again as it was, whatever has come since", async () => {
    await withInbox(async (folder, source) => {
      const whole = await read(source);
      await writeFile(path.join(folder, "0.jsonl"), lines(100));
      await appendFile(path.join(folder, "a.jsonl"), lines(101));
      await appendFile(path.join(folder, "c.ndjson"), lines(102));
      const from: Record<string, SourceOffset> = {};
      for (const batch of whole.batches) {
        const again = await read(source, from, batch.records.length, batch.partition);
        expect(again.batches[0]).toMatchObject({
          records: batch.records,
          partition: batch.partition,
          offset: batch.offset,
        });
        from[batch.partition] = batch.offset;
      }
    });
  });

  test("picks up new files wherever they stand, and what has grown", async () => {
    await withInbox(async (folder, source) => {
      const { offsets } = await read(source);
      await writeFile(path.join(folder, "0.jsonl"), lines(100));
      await appendFile(path.join(folder, "a.jsonl"), lines(101, 102));
      await mkdir(path.join(folder, "z"));
      await writeFile(path.join(folder, "z", "0.jsonl"), lines(103));
      const more = await read(source, offsets);
      expect(more).toMatchObject({ error: null, records: [100, 101, 102, 103] });
      expect(await source.inspect(offsets, more.offsets)).toMatchObject({ available: true, recordsBetween: 4 });
    });
  });

  test("refuses a file that was replaced, by its name", async () => {
    for (const [name, bytes] of [
      ["a.jsonl", lines(7, 8, 9)],
      ["b/1.jsonl.gz", zlib.gzipSync(lines(4, 5, 6, 8))],
      ["b/2.json", "[9,9]"],
    ] as const) {
      await withInbox(async (folder, source) => {
        const { offsets } = await read(source);
        await writeFile(path.join(folder, name), bytes);
        const { error } = await read(source, offsets);
        expect(error).toMatchObject({ code: "SOURCE_MOVED", details: { path: path.join(folder, name) } });
        const inspection = await source.inspect(offsets, offsets);
        expect(inspection).toMatchObject({ available: false, recordsBetween: 0 });
        expect(inspection.problem).toContain(name);
        expect(await source.inspect({}, offsets)).toMatchObject({ available: true, recordsBetween: null });
      });
    }
  });

  test("lets go of files that are known to be read, and of others where it is told to", async () => {
    await withInbox(async (folder, source) => {
      const { offsets } = await read(source);
      await rm(path.join(folder, "b"), { recursive: true });
      expect(await read(source, offsets)).toMatchObject({ error: null, records: [] });
      expect(await source.inspect(offsets, offsets)).toMatchObject({ available: true });
      const back = await source.inspect({}, offsets);
      expect(back).toMatchObject({ available: false, recordsBetween: 12 });
      expect(back.problem).toContain("1.jsonl.gz");

      await rename(path.join(folder, "a.jsonl"), path.join(folder, ".a.jsonl"));
      const { error } = await read(source, offsets);
      expect(error).toMatchObject({ code: "SOURCE_RANGE_GONE", details: { partition: "a.jsonl" } });
      expect(await source.inspect(offsets, offsets)).toMatchObject({ available: false });
      const passing = folderFiles({ folder, gone: "passed" });
      expect(await read(passing, offsets)).toMatchObject({ error: null, records: [] });
      expect(await passing.inspect(offsets, offsets)).toMatchObject({ available: true });
      expect(await passing.inspect({}, offsets)).toMatchObject({ available: false });
    });
  });

  test("gives what is sound before a broken file, and names it", async () => {
    await withInbox(async (folder, source) => {
      await writeFile(path.join(folder, "b", "1.jsonl.gz"), zlib.gzipSync(lines(4, 5, 6, 7)).subarray(0, -5));
      const { records, error, offsets } = await read(source);
      expect(records.slice(0, 3)).toEqual([1, 2, 3]);
      expect(error).toMatchObject({ code: "INPUT_CUT" });
      expect(error?.message).toContain("1.jsonl.gz");
      expect(Object.values(offsets)).not.toContainEqual(expect.objectContaining({ end: true }));
    });
  });

  test("reads by pattern and as it is told", async () => {
    await withFolder(async (folder) => {
      await writeFile(path.join(folder, "x.txt"), "a;b\n1;2\n");
      await writeFile(path.join(folder, "y.txt"), "a;b\n3;4\n");
      await writeFile(path.join(folder, "README"), "no records");
      await symlink("x.txt", path.join(folder, "z.txt"));
      await symlink("nothing", path.join(folder, "zz.txt"));
      const source = folderFiles({ folder, files: "*.txt", read: (file) => csvFile({ path: file, delimiter: ";" }) });
      const expected = [
        { a: "1", b: "2" },
        { a: "3", b: "4" },
        { a: "1", b: "2" },
      ];
      expect(await read(source)).toMatchObject({ error: null, records: expected });
      expect((await read(folderFiles({ folder }))).error).toMatchObject({ code: "INVALID_ARGUMENT" });
      const strange = folderFiles({ folder, read: () => fromIterable(() => []) });
      expect((await read(strange)).error).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(() => folderFiles({ folder, files: "/x" })).toThrow(/takes a pattern/u);
      expect(() => folderFiles({ folder, files: "x/[a-c][z-a].csv" })).toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT", message: expect.stringContaining('"x/[a-c][z-a].csv"') }),
      );
      expect(() => folderFiles({ folder, gone: "no" as "passed" })).toThrow(/gone takes/u);
    });
  });

  test("says INPUT_MISSING for a folder that is not there, and CANCELLED when it is stopped", async () => {
    await withInbox(async (folder, source) => {
      const missing = folderFiles({ folder: path.join(folder, "none") });
      const signal = new AbortController().signal;
      const context = { name: "in", clock: new ManualClock(), signal };
      await expect(missing.open(context)).rejects.toMatchObject({ code: "INPUT_MISSING" });
      expect(await missing.inspect({}, {})).toMatchObject({ available: false });
      await source.open(context);
      const stopped = source.read({ from: {}, batchRecords: 1, signal: AbortSignal.abort() });
      await expect(stopped[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "CANCELLED" });
      await source.close();
    });
  });
});

describe("globFilter()", () => {
  test.each([
    ["*.csv", ["a.csv", ".csv"], ["a.csv.gz", "b/a.csv", "acsv"]],
    ["**/*.csv", ["a.csv", "b/a.csv", "b/c/a.csv"], ["a.tsv"]],
    ["*.csv{,.gz}", ["a.csv", "a.csv.gz"], ["a.csv.zst"]],
    ["2026/**", ["2026/a", "2026/b/c"], ["2025/a", "2026"]],
    ["{a,b}?.[jt]s*", ["a1.js", "b2.tsv"], ["c1.js", "a/1.js", "a.js"]],
    ["[!a-c]+(x)", ["d+(x)", "é+(x)"], ["a+(x)", "/+(x)"]],
  ])("%s", (pattern, fitting, others) => {
    const fits = globFilter(pattern);
    expect(fitting.filter((name) => !fits(name))).toEqual([]);
    expect(others.filter((name) => fits(name))).toEqual([]);
  });
});
